"""Server-sent events, WebSockets and other long conversations, on every runtime."""

import selectors
import socket
import time

import pytest
from websockets.sync.client import connect

from gateway import until

HOST = "Host: a.example\r\n"


def test_an_event_arrives_when_it_is_sent_and_not_later(gateway):
    with gateway.raw() as client:
        client.send(f"GET /sse?events=3&interval=300 HTTP/1.1\r\n{HOST}\r\n")
        arrivals = []
        for number in (1, 2, 3):
            client.until(f"data: event {number}\n")
            arrivals.append(time.monotonic())
        gaps = [after - before for before, after in zip(arrivals, arrivals[1:])]
        assert all(0.2 < gap < 0.6 for gap in gaps), gaps


def test_a_thousand_streams_get_every_event(gateway):
    streams, events = 1000, 10
    waiting = {}
    with selectors.DefaultSelector() as selector:
        for _ in range(streams):
            stream = socket.create_connection(("127.0.0.1", gateway.port), 20)
            stream.sendall(f"GET /sse?events={events}&interval=100 HTTP/1.1\r\n{HOST}\r\n".encode())
            stream.setblocking(False)
            waiting[stream] = b""
            selector.register(stream, selectors.EVENT_READ)
        deadline = time.monotonic() + 60
        done = []
        while waiting and time.monotonic() < deadline:
            for key, _ in selector.select(1):
                data = key.fileobj.recv(65536)
                waiting[key.fileobj] += data
                if waiting[key.fileobj].endswith(b"0\r\n\r\n") or not data:
                    done.append(waiting.pop(key.fileobj))
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    assert len(done) == streams
    for text in done:
        assert [text.count(f"data: event {n}\n".encode()) for n in range(1, events + 1)] == [1] * events
    until(gateway.is_at_rest, "everything is given back")


def test_a_client_that_leaves_cancels_the_upstream(gateway):
    before = gateway.reasons("client_gone")
    with gateway.raw() as client:
        client.send(f"GET /sse?interval=10000 HTTP/1.1\r\n{HOST}\r\n")
        client.until("\r\n\r\n")
        client.reset()
    until(lambda: gateway.reasons("client_gone") == before + 1, "the exchange has ended", 2)
    until(gateway.is_at_rest, "the upstream's connection is closed", 3)


def test_websockets_echo_text_and_binary_of_any_size(gateway):
    with connect(f"ws://127.0.0.1:{gateway.port}/ws", proxy=None, max_size=None) as socket_:
        for message in ["hello", "", "ä" * 1000, b"\0\xff", bytes(1 << 20), "x" * 200_000]:
            socket_.send(message)
            assert socket_.recv(timeout=20) == message
        assert socket_.ping().wait(10)
    until(lambda: gateway.metric("ringgate_upgrades_total") >= 1, "the upgrade is counted")


def test_websockets_pass_close_codes_on(gateway):
    with connect(f"ws://127.0.0.1:{gateway.port}/ws", proxy=None) as socket_:
        socket_.close(4001, "enough")
        assert socket_.close_code == 4001


@pytest.mark.parametrize("stream", [False, True])
def test_openai_s_client_gets_its_answers(gateway, stream):
    from openai import DefaultHttpxClient, NotFoundError, OpenAI

    client = OpenAI(base_url=gateway.url + "/v1", api_key="x", http_client=DefaultHttpxClient(trust_env=False))
    messages = [{"role": "user", "content": "one two three"}]
    if stream:
        chunks = client.chat.completions.create(model="demo", messages=messages, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    else:
        text = client.chat.completions.create(model="demo", messages=messages).choices[0].message.content
    assert "one two three" in text
    with pytest.raises(NotFoundError):
        client.chat.completions.create(model="missing-model", messages=messages)
