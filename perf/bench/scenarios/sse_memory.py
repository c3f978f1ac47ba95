"""Memory of a stream that is open and silent."""

import time
from dataclasses import dataclass

from ..host import pss_bytes
from ..process import Failed, Load, free_port

# Streams opened before the first reading, so that pools and tables of a first use are not counted.
WARM_STREAMS = 50
SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class SseMemory:
    streams: int
    targets: tuple
    unit: str = "bytes / stream"
    kind: str = "sse"
    proxies: tuple = ("null-relay", "ringgate-ring", "ringgate-portable", "haproxy", "nginx", "envoy")
    references: tuple = ("nginx",)
    # The figure hardly varies.
    rounds_max: int | None = 3
    name: str = "sse-memory"

    @property
    def title(self):
        return f"user-space memory of an idle SSE stream, {self.streams:,} streams"

    def sample(self, bench, proxy):
        origin_port, port = free_port(), free_port()
        origin_settings = {"listen": f"127.0.0.1:{origin_port}", "interval-ms": 0}
        with Load(bench, "sse-origin", origin_settings) as origin:
            origin.await_port(origin_port)
            with proxy.start(bench, self.kind, origin_port, port) as running:
                with self._idle(bench, port, WARM_STREAMS):
                    time.sleep(SETTLE_SECONDS)
                    before = pss_bytes(running.pid)
                    with self._idle(bench, port, self.streams) as idle:
                        time.sleep(SETTLE_SECONDS)
                        after = pss_bytes(running.pid)
                        if idle.report()["closed"]:
                            raise Failed("streams were closed while they were idle")
        return {"value": (after - before) / self.streams, "pss_before": before, "pss_after": after}

    def _idle(self, bench, port, count):
        idle = Load(bench, "idle", {"connect": f"127.0.0.1:{port}", "count": count, "kind": "sse"})
        try:
            opened = idle.heard()
            if opened["refused"]:
                raise Failed(f"{opened['refused']} of {count} streams were refused: {idle.tail()}")
        except Failed:
            idle.stop()
            raise
        return idle


ROWS = [
    SseMemory(3000, (("ringgate-ring", None, 2048),)),
]
