"""Peers that push without reading, wait without end, or leave while they wait."""

import signal
import time

import pytest

from gateway import until
from scripted_origin import ScriptedOrigin

HOST = "Host: a.example\r\n"
QUEUE = """
workers: 1
listeners: [ {{ name: web, address: "127.0.0.1:{{port}}" }} ]
upstreams:
  - {{ name: small, endpoints: [ {{ address: "{origin}" }} ], limits: {{ connections: 1, pending: 3 }} }}
routes:
  - {{ name: all, match: {{ path: {{ prefix: / }} }}, backends: [ {{ upstream: small }} ],
       timeouts: {{ first_byte: 800ms }} }}
  - {{ name: long, match: {{ path: {{ prefix: /sse }} }}, backends: [ {{ upstream: small }} ] }}
"""


@pytest.fixture(params=["ring", "portable"])
def queue(request, start, origin):
    return start(QUEUE.format(origin=origin.address), request.param)


def exchanges(gateway, count):
    until(lambda: gateway.metric("ringgate_worker_exchanges") == count, f"{count} exchanges")


def test_clients_that_leave_the_queue_give_their_places_up(queue):
    with queue.raw() as first:
        first.send(f"GET /sse?events=1000&interval=50 HTTP/1.1\r\n{HOST}\r\n")
        first.until("\r\n\r\n")
        for _ in range(3):
            waiting = [queue.raw() for _ in range(3)]
            for client in waiting:
                client.send(f"GET /hello HTTP/1.1\r\n{HOST}\r\n")
            exchanges(queue, 4)
            for client in waiting:
                client.reset()
            exchanges(queue, 1)
    assert queue.get("/hello").status == 200
    until(queue.is_at_rest, "everything was given back")


def test_nobody_waits_for_a_connection_without_end(queue):
    with queue.raw() as first:
        first.send(f"GET /sse?events=1000&interval=50 HTTP/1.1\r\n{HOST}\r\n")
        first.until("\r\n\r\n")
        begun = time.monotonic()
        reply = queue.get("/hello")
        assert (reply.status, reply.reason) == (503, "pending_timeout")
        assert time.monotonic() - begun < 3


def test_the_queue_goes_on_after_every_order_of_coming_and_going(queue):
    clients = [queue.raw() for _ in range(4)]
    for _ in range(5):
        for client in clients:
            client.send(f"GET /slow?ms=20 HTTP/1.1\r\n{HOST}\r\n")
        for client in clients:
            assert client.answer()[0].startswith("HTTP/1.1 200")
    for client in clients:
        client.socket.close()


FIXED = """
workers: 1
listeners: [ {{ name: web, address: "127.0.0.1:{{port}}", timeouts: {{ send: 1s }} }} ]
upstreams: [ {{ name: origin, endpoints: [ {{ address: "{origin}" }} ] }} ]
routes:
  - {{ name: all, match: {{ path: {{ prefix: / }} }}, backends: [ {{ upstream: origin }} ] }}
  - {{ name: tea, match: {{ path: {{ exact: /tea }} }}, respond: {{ status: 200, body: "{body}" }} }}
"""


@pytest.mark.parametrize("runtime", ["ring", "portable"])
def test_answers_that_nobody_reads_do_not_pile_up(start, origin, runtime):
    gateway = start(FIXED.format(origin=origin.address, body="x" * 20_000), runtime)
    before = gateway.memory_bytes()
    with gateway.raw() as client:
        client.socket.settimeout(0.5)
        requests = f"GET /tea HTTP/1.1\r\n{HOST}\r\n".encode() * 500
        try:
            for _ in range(40):
                client.socket.sendall(requests)
        except OSError:
            pass
        assert gateway.memory_bytes() - before < 16 << 20
        until(lambda: gateway.metric("ringgate_connections_open") == 0, "the client is given up")
    assert gateway.get("/tea").status == 200


@pytest.mark.parametrize("runtime", ["ring", "portable"])
def test_interim_answers_that_nobody_reads_do_not_pile_up(start, runtime):
    sent = []

    def flood(connection, _reader, _head):
        connection.settimeout(1)
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"x" * 4000 + b">\r\n\r\n"
        try:
            for _ in range(25_000):
                connection.sendall(interim)
                sent.append(len(interim))
        except OSError:
            pass
        return "close"

    scripted = ScriptedOrigin(flood)
    gateway = start(FIXED.format(origin=scripted.address, body=""), runtime)
    before = gateway.memory_bytes()
    with gateway.raw() as client:
        client.send(f"GET / HTTP/1.1\r\n{HOST}\r\n")
        until(lambda: gateway.metric("ringgate_worker_exchanges") == 0, "the client is given up")
        assert gateway.memory_bytes() - before < 16 << 20
        assert sum(sent) < 32 << 20
    scripted.close()


@pytest.mark.parametrize("runtime", ["ring", "portable"])
def test_connections_that_come_at_once_are_bounded_too(start, origin, runtime):
    config = FIXED.format(origin=origin.address, body="").replace("timeouts: { send: 1s }", "limits: { connections: 5 }")
    gateway = start(config, runtime)
    gateway.signal(signal.SIGSTOP)
    clients = [gateway.raw() for _ in range(40)]
    gateway.signal(signal.SIGCONT)
    try:
        until(lambda: gateway.metric("ringgate_connections_refused_total") == 35, "35 are turned away", 5)
        assert gateway.metric("ringgate_connections_open") == 5
    finally:
        for client in clients:
            client.socket.close()
