"""HTTP/1.1 as clients see it, on every runtime."""

import hashlib
import json
import re
import threading

import pytest

from gateway import until

HOST = "Host: a.example\r\n"


def test_says_on_which_runtime_it_runs_and_why(gateway):
    expected = {"ring": "runtime: ring (io_uring", "portable": "because the configuration asks for it",
                "refused": "runtime: portable (epoll, because io_uring is forbidden here"}
    assert expected[gateway.runtime] in gateway.log()


def test_forwards_and_names_itself_and_the_client(gateway):
    seen = gateway.get("/echo?a=1", headers={"X-Own": "kept", "Connection": "close, x-hop", "X-Hop": "no"}).json
    fields = {name.lower(): value for name, value in seen["headers"]}
    assert seen["target"] == "/echo?a=1" and fields["x-own"] == "kept"
    assert "x-hop" not in fields and "connection" not in fields
    assert fields["via"] == "1.1 ringgate" and fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "http" and re.fullmatch(r"[0-9a-f]{32}", fields["x-request-id"])


def test_forged_forwarding_fields_are_replaced(gateway):
    seen = gateway.get("/echo", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}).json
    values = [value for name, value in seen["headers"] if name.lower().startswith("x-forwarded-")]
    assert "6.6.6.6" not in str(values) and "https" not in values


def test_serves_pipelined_requests_in_order(gateway):
    with gateway.raw() as client:
        client.send("".join(f"GET /bytes/{n} HTTP/1.1\r\n{HOST}\r\n" for n in (1, 70000, 3)))
        assert [len(client.answer()[1]) for _ in range(3)] == [1, 70000, 3]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_echoes_bodies_of_both_framings(gateway, framing):
    body = bytes(range(256)) * 1024
    data = body if framing == "length" else (body[at:at + 1000] for at in range(0, len(body), 1000))
    reply = gateway.get("/echo/body", "POST", body=data)
    assert reply.status == 200 and reply.body == body


def test_passes_trailers_on(gateway):
    with gateway.raw() as client:
        client.send(f"GET /chunked/3?size=5&trailers=1 HTTP/1.1\r\n{HOST}TE: trailers\r\n\r\n")
        head = client.until("\r\n\r\n")
        assert "transfer-encoding: chunked" in head.lower()
        tail = client.until("0\r\n") + client.until("\r\n\r\n")
        assert "x-checksum: " in tail.lower()


def test_chunks_sent_byte_by_byte_arrive_whole(gateway):
    with gateway.raw() as client:
        for byte in f"POST /echo/body HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n0\r\n\r\n":
            client.send(byte)
        head = client.until("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200") and "chunked" in head.lower()
        assert client.chunked_body() == b"abcd"


def test_waits_for_continue_and_then_sends(gateway):
    with gateway.raw() as client:
        client.send(f"POST /echo/body HTTP/1.1\r\n{HOST}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.until("\r\n\r\n").startswith("HTTP/1.1 100")
        client.send("hello")
        head = client.until("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200") and client.until("hello")


def test_passes_interim_answers_on(gateway):
    with gateway.raw() as client:
        client.send(f"GET /hints HTTP/1.1\r\n{HOST}\r\n")
        assert client.until("\r\n\r\n").startswith("HTTP/1.1 103")
        assert client.until("\r\n\r\n").startswith("HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/status/204", "/status/304"])
def test_answers_without_a_body_leave_the_connection_usable(gateway, path):
    with gateway.raw() as client:
        client.send(f"GET {path} HTTP/1.1\r\n{HOST}\r\nGET /hello HTTP/1.1\r\n{HOST}\r\n")
        assert client.until("\r\n\r\n").startswith(f"HTTP/1.1 {path[-3:]}")
        assert client.answer()[0].startswith("HTTP/1.1 200")


def test_head_has_a_length_and_no_body(gateway):
    with gateway.raw() as client:
        client.send(f"HEAD /bytes/100 HTTP/1.1\r\n{HOST}\r\nGET /hello HTTP/1.1\r\n{HOST}\r\n")
        assert "content-length: 100" in client.until("\r\n\r\n").lower()
        assert client.answer()[0].startswith("HTTP/1.1 200")


def test_a_body_that_ends_with_the_connection_arrives_in_chunks(gateway):
    with gateway.raw() as client:
        client.send(f"GET /close HTTP/1.1\r\n{HOST}\r\nGET /hello HTTP/1.1\r\n{HOST}\r\n")
        assert "transfer-encoding: chunked" in client.until("\r\n\r\n").lower()
        client.until("0\r\n\r\n")
        assert client.answer()[0].startswith("HTTP/1.1 200")


def test_http_1_0_gets_a_plain_body_and_a_close(gateway):
    with gateway.raw() as client:
        client.send("GET /chunked/2?size=3 HTTP/1.0\r\nHost: a\r\n\r\n")
        head = client.until("\r\n\r\n").lower()
        assert "transfer-encoding" not in head and "connection: close" in head
        assert len(client.rest()) == 6


@pytest.mark.parametrize(
    "path, reason", [("/reset", "upstream_reset"), ("/garbage", "upstream_malformed"), ("/garbage/both", "upstream_malformed")]
)
def test_bad_answers_become_502_with_their_reason(gateway, path, reason):
    reply = gateway.get(path)
    assert (reply.status, reply.reason) == (502, reason) and reply.json["error"]["type"] == reason


@pytest.mark.parametrize("path", ["/reset/body", "/reset/chunked"])
def test_an_answer_cut_short_is_recognisable(gateway, path):
    with gateway.raw() as client:
        client.send(f"GET {path} HTTP/1.1\r\n{HOST}\r\n")
        head = client.until("\r\n\r\n").lower()
        rest = client.rest()
        length = re.search(r"content-length: (\d+)", head)
        assert len(rest) < int(length.group(1)) if length else not rest.endswith(b"0\r\n\r\n")


def test_large_bodies_pass_both_ways_in_bounded_memory(gateway):
    before = gateway.memory_bytes()
    size = 64 << 20
    reply = gateway.get(f"/bytes/{size}")
    assert len(reply.body) == size
    digest = hashlib.sha256(reply.body).digest()
    head = f"POST /echo/body HTTP/1.1\r\n{HOST}Content-Length: {size}\r\n\r\n".encode()
    with gateway.raw() as client:
        # Sent on the side: who does not read the echo is not read any more either.
        sender = threading.Thread(target=client.send, args=(head + reply.body,))
        sender.start()
        assert "200" in client.until("\r\n\r\n")[:20]
        back = hashlib.sha256(client.exactly(size)).digest()
        sender.join()
    assert back == digest
    assert gateway.memory_bytes() - before < 32 << 20


def test_a_client_that_does_not_read_holds_the_origin_back(gateway):
    received = gateway.metric("ringgate_net_recv_bytes_total")
    with gateway.raw() as client:
        client.send(f"GET /bytes/{1 << 29} HTTP/1.1\r\n{HOST}\r\n")
        client.until("\r\n\r\n")
        last = [0.0]

        def stands_still():
            now = gateway.metric("ringgate_net_recv_bytes_total")
            last[0], before = now, last[0]
            return now == before

        until(stands_still, "the gateway stops reading")
        assert last[0] - received < 64 << 20
        client.reset()
    until(gateway.is_at_rest, "everything is given back")


def test_many_clients_at_once_each_get_their_own_answer(gateway):
    failures = []

    def one(number):
        for turn in range(20):
            text = f"{number}-{turn}"
            seen = gateway.get("/echo", "POST", body=text).json
            if seen["body"] != text:
                failures.append((text, seen))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    until(gateway.is_at_rest, "everything is given back")
