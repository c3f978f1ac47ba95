"""Starting, pinning and stopping the processes of one sample."""

import json
import os
import resource
import select
import socket
import subprocess
import time
from pathlib import Path

PATIENCE = 15.0
_ports = iter(range(0))


class Failed(Exception):
    """A process did not do what the sample needs; the text says which and what."""


def free_port():
    """A port below the ephemeral range, not used by an earlier sample of this run."""
    global _ports
    while True:
        port = next(_ports, None)
        if port is None:
            _ports = iter(range(20_000, 32_000))
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def raise_descriptor_limit(wanted):
    """Raises the limit of open files for us and what we start; returns what the host allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = int(Path("/proc/sys/fs/nr_open").read_text())
    for target in (max(min(wanted, ceiling), hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, target))
            return target
        except (OSError, ValueError):
            continue
    return soft


class Process:
    """A child on a core of its own, stopped with the `with` block that holds it."""

    def __init__(self, name, command, core, work, conversation=False):
        self.name = name
        self.log = Path(work) / f"{name}.log"
        pipe = subprocess.PIPE if conversation else subprocess.DEVNULL
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=pipe,
                stdout=subprocess.PIPE if conversation else log,
                stderr=log,
                cwd=work,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.child.stdin:
            try:
                self.child.stdin.close()
            except OSError:
                pass
        elif self.child.poll() is None:
            self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        if self.child.stdout:
            self.child.stdout.close()

    def tail(self):
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-3:])

    def await_port(self, port):
        """Waits until the process accepts connections."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended with {self.child.returncode}: {self.tail()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"{self.name} does not listen on port {port}: {self.tail()}")


class Load(Process):
    """A `perf-load` command: answers each line with one line of JSON."""

    def __init__(self, bench, name, settings):
        command = [bench.perf_load, name]
        for key, value in settings.items():
            command += [f"--{key}", value]
        super().__init__(name, command, bench.load_core, bench.work, conversation=True)

    def report(self):
        try:
            self.child.stdin.write(b"\n")
            self.child.stdin.flush()
        except OSError as error:
            raise Failed(f"{self.name} is gone: {self.tail()}") from error
        return self.heard()

    def heard(self, patience=60.0):
        """The next line of JSON that the program prints."""
        if not select.select([self.child.stdout], [], [], patience)[0]:
            raise Failed(f"{self.name} said nothing for {patience:.0f} s: {self.tail()}")
        line = self.child.stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended: {self.tail()}")
        return json.loads(line)
