"""Endpoints of every kind, and what happens when they go away."""

import socket
import threading

import pytest

from gateway import Process, free_port, until

HOST = "Host: a.example\r\n"
ROUTE = "routes: [ { name: all, match: { path: { prefix: / } }, backends: [ { upstream: u } ] } ]\n"


def config(*endpoints, more=""):
    listed = ", ".join(f'{{ address: "{endpoint}" }}' for endpoint in endpoints)
    return (
        'workers: 1\nlisteners: [ { name: web, address: "127.0.0.1:{port}" } ]\n'
        f"upstreams: [ {{ name: u, endpoints: [ {listed} ]{more} }} ]\n{ROUTE}"
    )


@pytest.mark.parametrize("runtime", ["ring", "portable"])
@pytest.mark.parametrize("kind", ["ipv6", "unix", "name"])
def test_endpoints_of_every_kind(start, start_origin, tmp_path, kind, runtime):
    port = free_port()
    address = {"ipv6": f"[::1]:{port}", "unix": None, "name": f"127.0.0.1:{port}"}[kind]
    if kind == "unix":
        path = tmp_path / "origin.sock"
        start_unix = Process(["origin", "--address", f"unix:{path}"], tmp_path / "unix.log")
        until(path.exists, "the origin's socket")
        try:
            assert start(config(f"unix:{path}"), runtime).get("/hello").status == 200
        finally:
            start_unix.stop()
        return
    if kind == "ipv6" and not has_ipv6():
        pytest.skip("this host has no IPv6 loopback")
    start_origin("kind", address)
    endpoint = f"localhost:{port}" if kind == "name" else address
    gateway = start(config(endpoint), runtime)
    assert gateway.get("/hello").status == 200
    if kind == "name":
        assert "127.0.0.1" in gateway.admin("/upstreams").json[0]["endpoints"][0]["resolved"]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_listens_on_a_unix_socket_and_removes_it(start, origin, tmp_path):
    path = tmp_path / "web.sock"
    gateway = start(
        f'workers: 2\nlisteners: [ {{ name: web, address: "unix:{path}" }} ]\n'
        f'upstreams: [ {{ name: u, endpoints: [ {{ address: "{origin.address}" }} ] }} ]\n{ROUTE}')
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(f"GET /hello HTTP/1.1\r\n{HOST}\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    gateway.stop()
    assert not path.exists()


@pytest.mark.parametrize("runtime", ["ring", "portable"])
def test_a_dead_endpoint_costs_nobody_an_answer(start, origin, runtime):
    gateway = start(config(origin.address, f"127.0.0.1:{free_port()}", more=", balance: round_robin"), runtime)
    assert [gateway.get("/hello").status for _ in range(40)] == [200] * 40


@pytest.mark.parametrize("runtime", ["ring", "portable"])
def test_requests_on_dead_idle_connections_are_sent_again(start, start_origin, runtime):
    first = start_origin("first")
    gateway = start(config(first.address), runtime)
    with gateway.raw() as client:
        for turn in range(5):
            client.send(f"GET /hello HTTP/1.1\r\n{HOST}\r\n")
            assert client.answer()[0].startswith("HTTP/1.1 200"), turn
            first.kill()
            first = start_origin(f"again-{turn}", first.address)


@pytest.mark.parametrize("runtime", ["ring", "portable"])
def test_killing_the_origin_under_200_streams_leaves_nothing_behind(start, start_origin, runtime):
    origin = start_origin("victim")
    gateway = start(config(origin.address), runtime)
    at_rest = gateway.descriptors()
    clients = [gateway.raw() for _ in range(200)]
    for client in clients:
        client.send(f"GET /sse?interval=20 HTTP/1.1\r\n{HOST}\r\n")
    for client in clients:
        client.until("data: event 1\n")
    origin.kill()
    for client in clients:
        # Without the last chunk a client knows that the stream is incomplete.
        assert not client.rest().endswith(b"0\r\n\r\n")
        client.socket.close()
    assert gateway.reasons("upstream_reset") == 200
    assert gateway.get("/hello").reason == "connect_failed"
    start_origin("again", origin.address)
    until(lambda: gateway.get("/hello").status == 200, "the origin serves again")
    until(gateway.is_at_rest, "everything is given back")
    until(lambda: gateway.descriptors() <= at_rest + 2, "descriptors come back")


def test_proxy_protocol_names_the_client(start, origin):
    gateway = start(config(origin.address).replace('{port}" }', '{port}", proxy_protocol: require }'))
    preambles = [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x04\xd2\0\x50",
    ]
    for preamble in preambles:
        with gateway.raw() as client:
            for byte in preamble:
                client.send(bytes([byte]))
            client.send(f"GET /echo HTTP/1.1\r\n{HOST}\r\n")
            assert b"192.0.2.7" in client.answer()[1]
    with gateway.raw() as client:
        client.send(f"GET /echo HTTP/1.1\r\n{HOST}\r\n")
        assert client.rest() == b""
    assert gateway.reasons("proxy_protocol_invalid") == 1
