"""Starting, changing and ending while conversations go on."""

import json
import os
import re
import signal
import subprocess

import pytest

from conftest import PLAIN
from gateway import ROOT, can_connect, free_port, program, until

HOST = "Host: a.example\r\n"
RUNTIMES = pytest.mark.parametrize("runtime", ["ring", "portable"])


@RUNTIMES
def test_sigterm_lets_answers_end_and_closes_the_idle(start, origin, runtime):
    gateway = start(PLAIN.format(origin=origin.address), runtime)
    with gateway.raw() as busy, gateway.raw() as idle:
        idle.send(f"GET /hello HTTP/1.1\r\n{HOST}\r\n")
        idle.answer()
        busy.send(f"GET /sse?events=10&interval=100 HTTP/1.1\r\n{HOST}\r\n")
        busy.until("data: event 1\n")
        gateway.signal(signal.SIGTERM)
        assert idle.rest() == b""
        assert gateway.admin("/readyz").status == 503
        busy.until("data: event 10\n")
        busy.until("0\r\n\r\n")
    assert gateway.wait() == 0 and "drained" in gateway.log()


def test_a_second_signal_ends_at_once(start, origin):
    gateway = start(PLAIN.format(origin=origin.address))
    with gateway.raw() as client:
        client.send(f"GET /sse HTTP/1.1\r\n{HOST}\r\n")
        client.until("data: event 1\n")
        gateway.signal(signal.SIGTERM)
        gateway.await_log("draining")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(3) == 0


@RUNTIMES
def test_sighup_changes_routes_and_listeners_and_no_stream_notices(start, origin, runtime):
    config = PLAIN.format(origin=origin.address)
    gateway = start(config, runtime)
    with gateway.raw() as client:
        client.send(f"GET /sse?events=20&interval=100 HTTP/1.1\r\n{HOST}\r\n")
        client.until("data: event 1\n")
        gateway.write(config.replace("prefix: /", "prefix: /new").replace("name: web", "limits: { head_bytes: 1KiB }, name: web"))
        gateway.signal(signal.SIGHUP)
        gateway.await_log("generation 2 is served by all workers")
        assert gateway.get("/hello").reason == "no_route"
        assert gateway.get("/new/" + "x" * 2000).reason == "head_too_large"
        gateway.write("nonsense: 1\n" + config)
        gateway.signal(signal.SIGHUP)
        gateway.await_log("refused, generation 2 stays in force")
        assert "ringgate.yaml:3:1: unknown field `nonsense`" in gateway.log()
        assert gateway.metric("ringgate_config_rejected") == 1
        client.until("data: event 20\n")
        client.until("0\r\n\r\n")


def test_a_listener_moves_to_another_port(start, origin):
    gateway = start(PLAIN.format(origin=origin.address))
    old, gateway.port = gateway.port, free_port()
    changed = gateway.document(PLAIN.format(origin=origin.address))
    assert gateway.admin("/config", "PUT", changed).status == 200
    until(lambda: gateway.get("/hello").status == 200, "the new port serves")
    until(lambda: not can_connect(f"127.0.0.1:{old}"), "the old port is closed")


def test_the_admin_interface_changes_checks_and_rolls_back(start, origin):
    config = PLAIN.format(origin=origin.address).replace("workers: 1", "workers: 2")
    gateway = start(config)
    assert gateway.admin("/healthz").status == 200 and gateway.admin("/readyz").status == 200
    with_tea = config + "  - { name: tea, match: { path: { exact: /tea } }, respond: { status: 418 } }\n"
    with_tea = with_tea.replace("routes: [ {", "routes:\n  - {").replace("} ] } ]\n  -", "} ] }\n  -")
    document = gateway.document(with_tea)
    assert gateway.admin("/config/check", "POST", document).json["routes"] == 2
    assert gateway.get("/tea").status == 404
    changed = gateway.admin("/config", "PUT", document).json
    assert changed["generation"] == 2 and gateway.get("/tea").status == 418
    assert gateway.admin("/config", "PUT", document).json == {"changed": False, "generation": 2, "needs_restart": []}
    broken = gateway.admin("/config", "PUT", document.replace("upstream: origin", "upstream: orign"))
    assert broken.status == 422 and "orign" in json.dumps(broken.json["problems"])
    taken = gateway.document(with_tea).replace(f":{gateway.port}", f":{gateway.admin_port}", 1)
    assert gateway.admin("/config", "PUT", b"\xff").status == 422
    assert gateway.get("/tea").status == 418, "nothing has changed"
    assert gateway.admin("/config/rollback", "POST").json["generation"] == 3
    assert gateway.get("/tea").status == 404
    shown = gateway.admin("/config").json
    assert shown["generation"] == 3 and "tea" not in shown["document"]
    assert [worker["generation"] for worker in gateway.admin("/workers").json["workers"]] == [3, 3]
    assert "route     all" in gateway.admin("/explain?request=GET%20http://a/x").text
    assert gateway.admin("/nothing").status == 404 and gateway.admin("/config", "DELETE").status == 405
    until(lambda: gateway.metric("ringgate_config_snapshots_freed_total") >= 2, "old snapshots are freed")


def test_changes_are_not_taken_from_web_pages(start, origin):
    from gateway import ask

    gateway = start(PLAIN.format(origin=origin.address))
    reply = ask(gateway.admin_port, "/drain", "POST", {"Origin": "http://evil.example"})
    assert reply.status == 403


def test_every_metric_is_documented_and_well_formed(start, origin):
    gateway = start(PLAIN.format(origin=origin.address))
    gateway.get("/hello")
    documented = set(re.findall(r"`(ringgate_\w+)`", (ROOT / "dataplane/telemetry/METRICS.md").read_text()))
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", gateway.admin("/metrics").text, re.M))
    for name, kind in kinds.items():
        assert name in documented or name.startswith("ringgate_net_"), name
        assert (kind == "counter") == name.endswith("_total"), name
    assert documented <= kinds.keys() | {"ringgate_net_"}


def test_secrets_are_masked(start, origin, monkeypatch):
    monkeypatch.setenv("TOKEN", "very-secret")
    config = PLAIN.format(origin=origin.address).replace(
        "backends:", 'filters: [ { filter: header_edit, request: { set: { authorization: "Bearer ${TOKEN}" } } } ], backends:')
    gateway = start(config)
    assert "Bearer very-secret" in gateway.get("/echo").text
    shown = gateway.admin("/config").text
    assert "very-secret" not in shown and "authorization" in shown


def test_the_access_log_has_a_line_for_each_exchange(start, origin, tmp_path):
    path = tmp_path / "access.log"
    config = PLAIN.format(origin=origin.address) + f"telemetry: {{ access_log: {{ path: {path} }} }}\n"
    gateway = start(config)
    gateway.get("/hello?x=1")
    gateway.get("/reset")
    lines = until(lambda: (found := path.read_text().splitlines()) and len(found) == 2 and found, "two lines")
    first, second = map(json.loads, lines)
    assert (first["status"], first["target"], first["reason"]) == (200, "/hello?x=1", "")
    assert (second["status"], second["reason"], second["endpoint"]) == (502, "upstream_reset", origin.address)
    os.rename(path, tmp_path / "old.log")
    gateway.signal(signal.SIGHUP)
    gateway.await_log("reload:")
    gateway.get("/hello")
    until(lambda: path.exists() and path.read_text().count("\n") == 1, "a new file")


def test_a_taken_port_is_a_host_s_refusal(start, origin, tmp_path):
    gateway = start(PLAIN.format(origin=origin.address))
    other = tmp_path / "other.yaml"
    other.write_text(PLAIN.format(origin=origin.address).replace("workers: 1", "workers: 2").replace("{port}", str(gateway.port)))
    done = subprocess.run([program(), "run", "-c", other], capture_output=True, text=True, timeout=20)
    assert done.returncode == 3 and "cannot listen" in done.stderr
