"""Real clients and a real origin."""

import re
import shutil
import subprocess

from gateway import Process, can_connect, free_port, until


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_curl_sends_and_gets(gateway, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(bytes(range(256)) * 4096)
    got = subprocess.run(
        ["curl", "--noproxy", "*", "-sS", "--data-binary", f"@{body}", "-H", "Expect: 100-continue", gateway.url + "/echo/body"],
        capture_output=True, timeout=30, check=True)
    assert got.stdout == body.read_bytes()


def test_wrk_sees_no_error(gateway):
    report = output("wrk", "-t1", "-c64", "-d2", gateway.url + "/hello")
    assert "Non-2xx" not in report and "Socket errors" not in report, report
    assert int(re.search(r"(\d+) requests in", report).group(1)) > 1000
    until(gateway.is_at_rest, "everything is given back")


def test_h2load_sees_no_error(gateway):
    report = output("h2load", "--h1", "-n5000", "-c50", "-m1", gateway.url + "/bytes/10000")
    assert "5000 succeeded, 0 failed, 0 errored" in report, report


def test_nginx_as_an_origin(start, tmp_path):
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;"
        f" fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;"
        f" server {{ listen 127.0.0.1:{port}; keepalive_requests 7;"
        f" location / {{ add_header X-From nginx; return 200 'from nginx'; }} }} }}\n")
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    nginx = subprocess.Popen([binary, "-p", tmp_path, "-c", config], stderr=subprocess.DEVNULL)
    try:
        until(lambda: can_connect(f"127.0.0.1:{port}"), "nginx listens")
        gateway = start(
            'workers: 1\nlisteners: [ { name: web, address: "127.0.0.1:{port}" } ]\n'
            f'upstreams: [ {{ name: n, endpoints: [ {{ address: "127.0.0.1:{port}" }} ] }} ]\n'
            "routes: [ { name: all, match: { path: { prefix: / } }, backends: [ { upstream: n } ] } ]\n")
        # nginx closes every seventh connection's end: no client may notice.
        report = output("h2load", "--h1", "-n3000", "-c20", "-m1", gateway.url + "/")
        assert "3000 succeeded, 0 failed, 0 errored" in report, report
        reply = gateway.get("/")
        assert reply.headers["x-from"] == "nginx" and reply.text == "from nginx"
    finally:
        nginx.terminate()
        nginx.wait(10)
