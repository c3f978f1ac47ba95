"""Ten thousand malformed requests, and a gateway that is none the worse for them."""

import random
import re
import socket
import threading

import pytest

from conftest import PLAIN
from gateway import ROOT, until
from scripted_origin import ScriptedOrigin, says

COUNT = 10_000


def corpus():
    """Name, reason and bytes of each malformed request of the codec's corpus."""

    def byte(found):
        escape = found.group(1)
        return {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}.get(escape) or chr(int(escape[1:], 16))

    for line in (ROOT / "dataplane/wire/corpus/malformed.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            name, reason, text = line.split("\t", 2)
            text = re.sub(r"\{(\d+)\*(.*?)\}", lambda m: m.group(2) * int(m.group(1)), text)
            yield name, reason, re.sub(r"\\(x[0-9a-fA-F]{2}|[rnt0\\])", byte, text).encode("latin-1")


def documented_reasons():
    """Statuses by reason, from the one list of them."""
    text = (ROOT / "dataplane/wire/src/reason.rs").read_text()
    return {word: int(status) for word, status in re.findall(r'= "(\w+)", (\d+),', text)}


def first_answer(gateway, request):
    """Status and reason of the first answer, or None if the gateway just closed."""
    with gateway.raw() as client:
        try:
            client.send(request)
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = client.rest()
    if not answer:
        return None
    first = re.match(rb"HTTP/1\.1 (\d\d\d) ", answer)
    assert first, (request, answer)
    reason = re.search(rb"(?i)x-ringgate-error: (\S+)", answer)
    return int(first.group(1)), reason and reason.group(1).decode()


def mutated(rng, request):
    """A request with a few bytes changed, removed, doubled or added."""
    data = bytearray(request)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at:at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at:at + rng.randint(1, 8)]
            case 2:
                data[at:at] = data[at:at + rng.randint(1, 40)]
            case 3:
                data[at:at] = rng.choice([b"\r\n", b"\0", b"\n", b": ", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n"])
    return bytes(data)


def test_each_malformed_request_gets_its_reason(gateway):
    reasons, wrong = documented_reasons(), []
    for name, reason, request in corpus():
        answer = first_answer(gateway, request)
        if answer != (reasons[reason], reason):
            wrong.append((name, reason, answer))
    assert not wrong, wrong


def test_ten_thousand_malformed_requests_do_no_harm(gateway):
    rng, reasons = random.Random(2024), documented_reasons()
    requests = [request[:4096] for _, _, request in corpus()]
    count = COUNT if gateway.runtime == "ring" else COUNT // 5
    for number in range(count):
        request = requests[number % len(requests)]
        answer = first_answer(gateway, request if number < len(requests) else mutated(rng, request))
        if answer and answer[1]:
            assert reasons[answer[1]] == answer[0] and answer[1] != "internal", (request, answer)
    assert gateway.get("/hello").status == 200
    assert gateway.metric("ringgate_net_tasks_panicked_total") == 0
    until(gateway.is_at_rest, "everything is given back")


def test_an_answer_cut_short_is_never_shown_as_whole(start):
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    origin = ScriptedOrigin(says(cut, "close"))
    for runtime in ("ring", "portable"):
        gateway = start(PLAIN.format(origin=origin.address), runtime)
        with gateway.raw() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.rest().endswith(b"5\r\nhello\r\n")
        # An HTTP/1.0 client knows the end of the body by the end of the connection only.
        with gateway.raw() as client:
            client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                while client.socket.recv(65536):
                    pass
    origin.close()


def test_buffers_have_a_budget(start, origin):
    """Nobody reads: all that the gateway may hold is held, and given back."""
    config = PLAIN.format(origin=origin.address) + "limits: { buffered_bytes: 1MiB }\n"
    for runtime in ("ring", "portable"):
        gateway = start(config, runtime)
        clients = [gateway.raw() for _ in range(100)]
        for client in clients:
            client.send("GET /bytes/50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: gateway.metric("ringgate_net_buffers_leased") > 0, "buffers are in use")
        for client in clients:
            client.socket.close()
        until(lambda: gateway.get("/hello").status == 200, "it serves again")
        until(gateway.is_at_rest, "everything is given back")


def test_a_refused_head_after_head_has_its_body(start, origin):
    """The answer to a head that cannot be read is not framed by the request before it."""
    gateway = start(PLAIN.format(origin=origin.address))
    with gateway.raw() as client:
        client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until("\r\n\r\n")
        client.send("GET / HTTP/1.1\r\n\r\n")
        head, body = client.answer()
        assert head.startswith("HTTP/1.1 400") and b"host_invalid" in body


def test_what_follows_a_refused_connect_is_no_request(start, origin):
    gateway = start(PLAIN.format(origin=origin.address))
    with gateway.raw() as client:
        client.send("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        answers = client.rest()
        assert answers.count(b"HTTP/1.1 ") == 1 and not answers.startswith(b"HTTP/1.1 200"), answers


def test_no_tunnel_opens_in_the_middle_of_a_request(start):
    received = []

    def switch(connection, _reader, _head):
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        connection.settimeout(2)
        try:
            received.append(connection.recv(100))
        except OSError:
            pass
        return "close"

    scripted = ScriptedOrigin(switch)
    config = PLAIN.format(origin=scripted.address).replace("name: all,", "name: all, upgrade: true,")
    gateway = start(config)
    with gateway.raw() as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        head, _ = client.answer()
        assert head.startswith("HTTP/1.1 502") and "upgrade_unexpected" in head
    until(lambda: received, "the origin is left")
    assert received == [b""]
    scripted.close()


def test_refused_connections_do_not_end_those_that_come_after_them(gateway):
    """A closing connection's slot goes to the next one, which nothing of the old may reach."""
    wrong = []

    def churn():
        for _ in range(200):
            with gateway.raw() as client:
                client.send("GET / HTTP/9.9\r\n\r\n")
                client.answer()
            with gateway.raw() as client:
                try:
                    client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                    client.answer()
                except (EOFError, OSError) as error:
                    wrong.append(error)

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
