"""Processes under test: the gateway, its origin, and raw sockets to talk to them."""

import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0


def program():
    """The binary under test."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    candidates = [os.environ.get("RINGGATE_BIN"), target / "release/ringgate", target / "debug/ringgate"]
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            return str(candidate)
    raise RuntimeError("build the gateway first: cargo build --release -p gateway")


def until(condition, what, patience=PATIENCE):
    """Waits for a condition and returns its value; fails with `what` after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.005)


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A program of ours with its log, stopped when the test ends."""

    def __init__(self, arguments, log, launcher=(), descriptors=None):
        self.log_path = Path(log)
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        with open(self.log_path, "wb") as out:
            self.process = subprocess.Popen(
                [*launcher, program(), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=limit if descriptors else None,
            )

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def await_log(self, text, patience=PATIENCE):
        def found():
            if text in self.log():
                return True
            assert self.process.poll() is None, f"it ended before saying {text!r}:\n{self.log()}"
            return False

        until(found, f"{text!r} in the log:\n{self.log()}", patience)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE):
        return self.process.wait(patience)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it without waiting for what is open; it must not have died before."""
        if self.process.poll() is None:
            for _ in range(2):
                self.signal(signal.SIGTERM)
                try:
                    self.process.wait(2)
                    break
                except subprocess.TimeoutExpired:
                    continue
            else:
                self.kill()
        assert "panicked" not in self.log(), self.log()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory_bytes(self):
        """Resident memory that belongs to it alone."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) * 1024


class Origin(Process):
    """The built-in origin."""

    def __init__(self, folder, name="origin", address=None):
        self.address = address or f"127.0.0.1:{free_port()}"
        super().__init__(["origin", "--address", self.address, "--name", name], folder / f"{name}.log")
        self.await_log(f"origin {name} on ")
        until(lambda: can_connect(self.address), f"the origin on {self.address}")


class Gateway(Process):
    """A gateway by a configuration; `{port}` and `{admin}` in it are filled in."""

    def __init__(self, folder, config, runtime="ring", descriptors=None, wait=True):
        self.port, self.admin_port = free_port(), free_port()
        self.config = folder / "ringgate.yaml"
        self.runtime = runtime
        self.write(config)
        launcher = ()
        if runtime == "refused":
            launcher = (sys.executable, str(Path(__file__).parent / "without_io_uring.py"))
        super().__init__(["run", "-c", self.config], folder / "gateway.log", launcher, descriptors)
        if wait:
            self.await_log("ready, generation 1")

    def document(self, config):
        named = {"refused": "auto"}.get(self.runtime, self.runtime)
        head = f"runtime: {named}\nadmin: {{ address: '127.0.0.1:{self.admin_port}' }}\n"
        return head + config.replace("{port}", str(self.port))

    def write(self, config):
        self.config.write_text(self.document(config))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def get(self, path, method="GET", headers=None, body=None, timeout=PATIENCE):
        """One request on a connection of its own."""
        return ask(self.port, path, method, headers, body, timeout)

    def admin(self, path, method="GET", body=None):
        return ask(self.admin_port, path, method, None, body, PATIENCE)

    def metrics(self):
        """Every sample of the metrics page."""
        samples = {}
        for line in self.admin("/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def metric(self, prefix, containing=""):
        """The sum of the samples of a name, over all labels that contain a text."""
        return sum(
            value
            for name, value in self.metrics().items()
            if (name == prefix or name.startswith(prefix + "{")) and containing in name
        )

    def reasons(self, reason):
        return self.metric("ringgate_responses_total", f'reason="{reason}"')

    def is_at_rest(self):
        """Nothing is open but idle connections to upstreams."""
        samples = self.metrics()
        total = lambda name: sum(v for n, v in samples.items() if n.startswith(name))
        idle = total("ringgate_upstream_idle_connections")
        return (
            total("ringgate_connections_open") == 0
            and total("ringgate_worker_exchanges") == 0
            and total("ringgate_net_buffers_leased") == 0
            and total("ringgate_net_streams_open") <= idle
        )

    def raw(self):
        return Raw(self.port)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def reason(self):
        return self.headers.get("x-ringgate-error")


def ask(port, path, method="GET", headers=None, body=None, timeout=PATIENCE):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        reply = connection.getresponse()
        return Reply(reply.status, reply.headers, reply.read())
    finally:
        connection.close()


def can_connect(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), 1).close()
        return True
    except OSError:
        return False


class Raw:
    """A client that speaks bytes."""

    def __init__(self, port, timeout=PATIENCE):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def until(self, mark):
        """Everything up to and including a mark."""
        mark = mark.encode() if isinstance(mark, str) else mark
        while mark not in self.received:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"closed before {mark!r}: {bytes(self.received)!r}")
            self.received += data
        end = self.received.index(mark) + len(mark)
        return self.take(end).decode("latin-1")

    def take(self, count):
        found = bytes(self.received[:count])
        del self.received[:count]
        return found

    def exactly(self, count):
        while len(self.received) < count:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"closed after {len(self.received)} of {count} bytes")
            self.received += data
        return self.take(count)

    def rest(self):
        """Everything until the peer closes or resets."""
        try:
            while data := self.socket.recv(65536):
                self.received += data
        except ConnectionResetError:
            pass
        return self.take(len(self.received))

    def answer(self):
        """A head and a body of the length that it announces."""
        head = self.until("\r\n\r\n")
        length = re.search(r"(?i)\r\ncontent-length: (\d+)", head)
        return head, self.exactly(int(length.group(1))) if length else b""

    def chunked_body(self):
        """A body in chunks, without its framing and trailers."""
        body = b""
        while size := int(self.until("\r\n").split(";")[0], 16):
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        while self.until("\r\n") != "\r\n":
            pass
        return body

    def reset(self):
        """Leaves without saying goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()
