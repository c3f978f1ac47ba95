"""HTTP/1.1 keep-alive: small requests on a fixed number of busy connections."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from ..process import Failed, Load, free_port

WRK_REPORT = Path(__file__).parent.parent / "wrk_report.lua"
BODY_BYTES = 256


@dataclass(frozen=True)
class HttpKeepAlive:
    connections: int
    targets: tuple
    unit: str = "us CPU / request"
    kind: str = "http"
    proxies: tuple = (
        "null-relay", "null-relay-again", "ringgate-ring", "ringgate-portable", "haproxy", "nginx", "envoy",
    )
    references: tuple = ("null-relay", "nginx")
    rounds_max: int | None = None

    @property
    def name(self):
        return f"http-{self.connections}"

    @property
    def title(self):
        return f"HTTP/1.1 keep-alive, {self.connections} connections, {BODY_BYTES} B answers"

    def sample(self, bench, proxy):
        origin_port, port = free_port(), free_port()
        origin_settings = {"listen": f"127.0.0.1:{origin_port}", "body-bytes": BODY_BYTES}
        with Load(bench, "origin", origin_settings) as origin:
            origin.await_port(origin_port)
            with proxy.start(bench, self.kind, origin_port, port) as running:
                return self._measure(bench, origin, running, port)

    def _measure(self, bench, origin, running, port):
        # One generator for warm-up and window: the window holds no opening of connections.
        total = bench.warmup + bench.window + 1
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{total:.0f}s", "-s", WRK_REPORT]
        command += ["-H", "Host: bench.example", f"http://127.0.0.1:{port}/"]
        origin.report()
        generator = subprocess.Popen(
            ["taskset", "-c", str(bench.load_core), *map(str, command)], stdout=subprocess.PIPE, text=True
        )
        try:
            time.sleep(bench.warmup)
            ours = [running.pid, origin.pid, generator.pid]
            served = origin.report()["requests"]
            with bench.window_of(running, ours) as window:
                time.sleep(bench.window)
                answers = origin.report()["requests"]
            output, _ = generator.communicate(timeout=total + 15)
        finally:
            generator.kill()
            generator.wait()
        served += answers + origin.report()["requests"]
        report = json.loads(output.splitlines()[-1])
        self._check(report, served)
        return window.figures(answers) | {
            "value": window.cpu_seconds / answers * 1e6,
            "answers_per_second": answers / window.seconds,
            "latency_us": report["latency_us"],
        }

    def _check(self, report, served):
        """Every answer was a 200 with the whole body, and came from the origin."""
        bad = {key: count for key, count in report["errors"].items() if count}
        if bad:
            raise Failed(f"wrk counts {bad}")
        # wrk closes its connections with answers on the way, at most one each.
        good = report["requests"]
        if good == 0 or not good <= served <= good + self.connections:
            raise Failed(f"wrk counts {good} answers, the origin gave {served}")
        if report["bytes"] < good * BODY_BYTES:
            raise Failed(f"{report['bytes']} bytes are too few for {good} answers")


ROWS = [
    HttpKeepAlive(
        64,
        (
            ("ringgate-ring", "null-relay", 1.15),
            ("ringgate-ring", "nginx", 0.70),
            ("ringgate-ring", "envoy", 0.17),
            ("ringgate-portable", "nginx", 1.10),
        ),
    ),
    HttpKeepAlive(
        256,
        (
            ("ringgate-ring", "null-relay", 1.15),
            ("ringgate-ring", "nginx", 0.58),
            ("ringgate-ring", "envoy", 0.17),
            ("ringgate-portable", "nginx", 1.10),
        ),
    ),
]
