"""SSE: many streams, each with small events at a steady pace, every event checked."""

import time
from dataclasses import dataclass

from ..process import Failed, Load, free_port

# The origin and the clients share a core with nothing else; below this share of the pace they, or
# the proxy, did not keep up, and the figure would be that of another load.
PACE_MIN = 0.97


@dataclass(frozen=True)
class SseEvents:
    streams: int
    interval_ms: int
    targets: tuple
    unit: str = "us CPU / event"
    kind: str = "sse"
    proxies: tuple = (
        "null-relay", "null-relay-again", "null-relay-delayed", "ringgate-ring", "ringgate-portable",
        "haproxy", "nginx", "envoy",
    )
    references: tuple = ("null-relay", "null-relay-delayed", "nginx")
    rounds_max: int | None = None

    @property
    def pace(self):
        return self.streams * 1000 // self.interval_ms

    @property
    def name(self):
        return f"sse-{self.pace // 1000}k"

    @property
    def title(self):
        return f"SSE, {self.streams} streams, {self.pace:,} events/s of 180 B"

    def sample(self, bench, proxy):
        origin_port, port = free_port(), free_port()
        origin_settings = {
            "listen": f"127.0.0.1:{origin_port}",
            "interval-ms": self.interval_ms,
            "streams": self.streams,
        }
        client_settings = {"connect": f"127.0.0.1:{port}", "streams": self.streams}
        with Load(bench, "sse-origin", origin_settings) as origin:
            origin.await_port(origin_port)
            with proxy.start(bench, self.kind, origin_port, port) as running:
                with Load(bench, "sse-clients", client_settings) as clients:
                    clients.heard()
                    return self._measure(bench, origin, running, clients)

    def _measure(self, bench, origin, running, clients):
        time.sleep(bench.warmup)
        warm = clients.report()
        origin.report()
        with bench.window_of(running, [running.pid, origin.pid, clients.pid]) as window:
            time.sleep(bench.window)
            seen = clients.report()
        sent = origin.report()
        self._check(warm, seen, sent)
        return window.figures(seen["events"]) | {
            "value": window.cpu_seconds / seen["events"] * 1e6,
            "events_per_second": seen["events"] / seen["seconds"],
            "events_per_read": seen["events"] / max(seen["reads"], 1),
            "delay_us": seen["delay_us"],
            "gap_max_ms": seen["gap_max_ms"],
        }

    def _check(self, warm, seen, sent):
        """No event was lost, changed or repeated, no stream closed, and the pace was kept."""
        for report in (warm, seen):
            bad = {key: report[key] for key in ("lost", "repeated", "malformed", "closed") if report[key]}
            if bad:
                raise Failed(f"the streams show {bad}")
        if sent["streams"] != self.streams:
            raise Failed(f"{sent['streams']} of {self.streams} streams are open at the origin")
        if seen["events"] < PACE_MIN * self.pace * seen["seconds"]:
            pace = seen["events"] / seen["seconds"]
            raise Failed(f"{pace:,.0f} events/s instead of {self.pace:,}; the origin held {sent['held']}")


ROWS = [
    SseEvents(
        500,
        10,
        (
            ("ringgate-ring", "null-relay", 1.10),
            ("ringgate-ring", "nginx", 0.53),
            ("ringgate-portable", "nginx", 1.10),
        ),
    ),
]
