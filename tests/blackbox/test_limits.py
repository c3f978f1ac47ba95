"""Every bound has its answer and its reason, and gives back what it took."""

import socket
import time

import pytest

from gateway import free_port, until

CONFIG = """
workers: 1
listeners:
  - name: web
    address: "127.0.0.1:{{port}}"
    limits: {{ connections: 20, head_bytes: 4KiB, fields: 20, body_bytes: 10KB }}
    timeouts: {{ head: 1s, body: 500ms, send: 1s, keepalive: 700ms }}
upstreams:
  - {{ name: origin, endpoints: [ {{ address: "{origin}" }} ] }}
  - {{ name: nobody, endpoints: [ {{ address: "127.0.0.1:{nobody}" }} ], timeouts: {{ connect: 300ms }} }}
  - {{ name: unnamed, endpoints: [ {{ address: "no-such-host.invalid:80" }} ] }}
  - {{ name: small, endpoints: [ {{ address: "{origin}" }} ], limits: {{ connections: 1, pending: 1 }} }}
routes:
  - {{ name: all, match: {{ path: {{ prefix: / }} }}, backends: [ {{ upstream: origin }} ],
       timeouts: {{ first_byte: 400ms, idle: 400ms, request: 5s }} }}
  - {{ name: total, match: {{ path: {{ prefix: /drip }} }}, backends: [ {{ upstream: origin }} ],
       timeouts: {{ idle: 5s, request: 500ms }} }}
  - {{ name: nobody, match: {{ path: {{ prefix: /nobody }} }}, backends: [ {{ upstream: nobody }} ] }}
  - {{ name: unnamed, match: {{ path: {{ prefix: /unnamed }} }}, backends: [ {{ upstream: unnamed }} ] }}
  - {{ name: small, match: {{ path: {{ prefix: /slow }}, headers: {{ x-small: "1" }} }}, backends: [ {{ upstream: small }} ] }}
"""
HOST = "Host: a.example\r\n"


@pytest.fixture(params=["ring", "portable"])
def gateway(request, start, origin):
    return start(CONFIG.format(origin=origin.address, nobody=free_port()), request.param)


def refused(gateway, reply, status, reason):
    assert (reply.status, reply.reason) == (status, reason)
    assert gateway.reasons(reason) >= 1


def test_bounds_of_a_request(gateway):
    refused(gateway, gateway.get("/x" * 5000), 431, "head_too_large")
    refused(gateway, gateway.get("/", headers={f"x-{n}": "1" for n in range(30)}), 431, "fields_too_many")
    refused(gateway, gateway.get("/echo/body", "POST", body=b"x" * 20_000), 413, "body_too_large")


def test_a_chunked_body_over_the_limit_is_refused(gateway):
    with gateway.raw() as client:
        client.send(f"POST /echo HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n")
        client.send("2000\r\n" + "x" * 0x2000 + "\r\n2000\r\n" + "x" * 0x2000 + "\r\n")
        assert client.until("\r\n\r\n").startswith("HTTP/1.1 413")


def test_slow_clients_are_told_and_closed(gateway):
    with gateway.raw() as client:
        client.send("GET / HTTP/1.1\r\nHost: a")
        head, _ = client.answer()
        assert head.startswith("HTTP/1.1 408") and "head_timeout" in head
        assert client.rest() == b""
    with gateway.raw() as client:
        client.send(f"POST /echo HTTP/1.1\r\n{HOST}Content-Length: 10\r\n\r\nabc")
        head, _ = client.answer()
        assert head.startswith("HTTP/1.1 408") and "body_timeout" in head
    with gateway.raw() as client:
        client.send(f"GET /hello HTTP/1.1\r\n{HOST}\r\n")
        client.answer()
        begun = time.monotonic()
        assert client.rest() == b"" and 0.5 < time.monotonic() - begun < 4


def test_a_client_that_does_not_read_is_cut(gateway):
    with gateway.raw() as client:
        client.send(f"GET /bytes/{1 << 28} HTTP/1.1\r\n{HOST}\r\n")
        until(lambda: gateway.reasons("send_timeout") == 1, "the stalled reader is cut", 6)
    until(gateway.is_at_rest, "everything is given back", 6)


def test_slow_upstreams_are_given_up(gateway):
    refused(gateway, gateway.get("/slow?ms=3000"), 504, "first_byte_timeout")
    with gateway.raw() as client:
        client.send(f"GET /slow/body?ms=3000&bytes=1000 HTTP/1.1\r\n{HOST}\r\n")
        client.until("\r\n\r\n")
        client.rest()
    assert gateway.reasons("idle_timeout") == 1
    with gateway.raw() as client:
        client.send(f"GET /drip?bytes=1000&ms=50 HTTP/1.1\r\n{HOST}\r\n")
        client.until("\r\n\r\n")
        client.rest()
    assert gateway.reasons("request_timeout") == 1


def test_upstreams_that_are_not_there(gateway):
    refused(gateway, gateway.get("/nobody"), 502, "connect_failed")
    refused(gateway, gateway.get("/unnamed"), 503, "name_unresolved")


def test_connections_to_an_upstream_are_bounded(gateway):
    with gateway.raw() as first, gateway.raw() as second:
        for client in (first, second):
            client.send(f"GET /slow?ms=300 HTTP/1.1\r\n{HOST}X-Small: 1\r\n\r\n")
        until(lambda: gateway.metric("ringgate_worker_exchanges") == 2, "one is served, one waits")
        refused(gateway, gateway.get("/slow?ms=1", headers={"X-Small": "1"}), 503, "pending_over_limit")
        assert first.answer()[0].startswith("HTTP/1.1 200") and second.answer()[0].startswith("HTTP/1.1 200")


def test_connections_of_a_listener_are_bounded(gateway):
    clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(20)]
    try:
        until(lambda: gateway.metric("ringgate_connections_open") == 20, "all are open")
        refused(gateway, gateway.get("/hello"), 503, "connections_over_limit")
    finally:
        for client in clients:
            client.close()
    until(lambda: gateway.metric("ringgate_connections_open") == 0, "all are closed")
    assert gateway.get("/hello").status == 200


@pytest.mark.parametrize("runtime", ["ring", "portable"])
def test_running_out_of_descriptors_is_survived(start, origin, runtime):
    config = CONFIG.replace("connections: 20,", "").replace("head: 500ms", "head: 20s")
    gateway = start(config.format(origin=origin.address, nobody=free_port()), runtime, descriptors=120)
    at_rest = gateway.descriptors()
    clients = []
    for _ in range(300):
        client = socket.create_connection(("127.0.0.1", gateway.port), 5)
        client.sendall(f"GET /sse?interval=200 HTTP/1.1\r\n{HOST}\r\n".encode())
        clients.append(client)
    # The ring's own table of descriptors is as large as the limit, and counts against it.
    until(lambda: gateway.log() and clients[0].recv(1), "the first is served")
    for client in clients:
        client.close()
    until(lambda: gateway.descriptors() <= at_rest + 2, "descriptors come back", 20)
    until(lambda: gateway.get("/hello").status == 200, "it serves again")
