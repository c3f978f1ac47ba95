"""The candidates: how each is started with one worker in front of one origin."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template

from .process import Failed, Process

PEERS = Path(__file__).parent.parent / "peers"


@dataclass(frozen=True)
class Proxy:
    """A candidate. `options` go to its template or command line."""

    name: str
    label: str
    program: str
    template: str | None = None
    options: tuple = ()

    def start(self, bench, kind, origin_port, port):
        """Starts it for `kind` (http or sse) and waits until it listens.

        Raises Failed where it is not to be had or does not come up.
        """
        program = bench.program(self.program)
        if program is None:
            raise Failed(f"{self.program} is not there")
        process = Process(
            self.name, self._command(program, bench, kind, origin_port, port), bench.proxy_core, bench.work
        )
        try:
            process.await_port(port)
        except Failed:
            process.stop()
            raise
        return process

    def _command(self, program, bench, kind, origin_port, port):
        if self.template is None:
            listen, upstream = f"127.0.0.1:{port}", f"127.0.0.1:{origin_port}"
            return [program, "--listen", listen, "--upstream", upstream, "--mode", kind, *self.options]
        values = dict(self.options) | {"port": port, "origin_port": origin_port, "work": bench.work}
        values["descriptors"] = bench.descriptors
        # A stream that may stay silent for as long as the run lasts is not buffered and not timed.
        # HAProxy opens two descriptors for a connection and refuses to start where they do not fit.
        values["connections"] = min(bench.descriptors // 2 - 100, 60_000)
        values["buffering"] = "off" if kind == "sse" else "on"
        # Without it HAProxy holds chunks back for up to 200 ms, which is no relay of events.
        values["no_delay"] = "option http-no-delay" if kind == "sse" else ""
        config = bench.work / self.template
        config.write_text(Template((PEERS / self.template).read_text()).substitute(values))
        return {
            "nginx": [program, "-p", bench.work, "-c", config, "-e", "stderr"],
            "haproxy": [program, "-db", "-f", config],
            "envoy": [program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
            "ringgate": [program, "run", "-c", config],
        }[self.program]


ROOM = ("--connections", "8192")
PROXIES = {
    proxy.name: proxy
    for proxy in (
        Proxy("null-relay", "null relay", "null_relay", options=ROOM),
        Proxy("null-relay-again", "null relay, again", "null_relay", options=ROOM),
        Proxy("null-relay-delayed", "null relay, delayed ACKs", "null_relay", options=("--delayed-ack", *ROOM)),
        Proxy("ringgate-ring", "Ringgate, ring", "ringgate", "ringgate.yaml", (("runtime", "ring"),)),
        Proxy("ringgate-portable", "Ringgate, portable", "ringgate", "ringgate.yaml", (("runtime", "portable"),)),
        Proxy("nginx", "nginx", "nginx", "nginx.conf"),
        Proxy("haproxy", "HAProxy", "haproxy", "haproxy.cfg"),
        Proxy("envoy", "Envoy", "envoy", "envoy.yaml"),
    )
}


def find_program(name, target, profile):
    """The path of a candidate's program, or None: ours as built, Envoy from its environment."""
    ours = {
        "ringgate": target / profile / "ringgate",
        "null_relay": target / profile / "examples" / "null_relay",
        "perf-load": target / profile / "perf-load",
    }
    if name in ours:
        return ours[name] if ours[name].exists() else None
    if name == "envoy":
        packaged = target.glob("peers/lib/python3*/site-packages/envoy/_bin/envoy")
        return next(packaged, None) or shutil.which(name)
    return shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
