"""Holds idle keep-alive connections on one worker and prints what each costs in memory.

`scripts/idle-connections` builds what it needs and calls it.
"""

import argparse
import json
import os
import re
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from . import host
from .bench import OUT, ROOT, Bench
from .process import Failed, Load, free_port, raise_descriptor_limit
from .proxies import PROXIES

# Descriptors of a process that are no client connections: upstream, listeners, logs, the ring.
RESERVE = 300
# Below the ports of one source address, see perf/src/connect.rs.
PER_CLIENT = 20_000
SYSCTLS = {
    "fs/nr_open": 1_048_576,
    "net/core/somaxconn": 4096,
    "net/ipv4/tcp_max_syn_backlog": 8192,
}


def main():
    options = parse()
    raise_sysctls()
    descriptors = raise_descriptor_limit(options.count + RESERVE)
    count = min(options.count, descriptors - RESERVE)
    if count < options.count:
        print(f"the host allows {descriptors} descriptors a process: {count} connections instead of {options.count}")
    work = OUT / "work"
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        target=Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")),
        profile=options.profile,
        work=work,
        warmup=0,
        window=0,
        descriptors=descriptors,
        load_core=min(1, (os.cpu_count() or 1) - 1),
    )
    try:
        report = hold(bench, PROXIES[options.proxy], count)
    except Failed as why:
        sys.exit(f"idle-connections: {why}")
    report |= {"wanted": options.count, "descriptors": descriptors, "host": host.facts()}
    (OUT / "idle-connections.json").write_text(json.dumps(report, indent=1))
    print(
        f"{report['label']}: {report['open']} idle connections on one worker, "
        f"{report['user_bytes']:.0f} bytes of user-space memory each "
        f"({report['pss_before'] >> 10} KiB before, {report['pss_after'] >> 10} KiB with them), "
        f"{report['kernel_bytes']:.0f} bytes of kernel slab for both ends"
    )
    if report["open"] < count:
        sys.exit(f"idle-connections: {count - report['open']} connections did not stay")


def hold(bench, proxy, count):
    """Opens the connections, one answered request each, and reads the memory around it."""
    origin_port, port = free_port(), free_port()
    with ExitStack() as stack:
        origin = stack.enter_context(Load(bench, "origin", {"listen": f"127.0.0.1:{origin_port}"}))
        origin.await_port(origin_port)
        running = stack.enter_context(proxy.start(bench, "http", origin_port, port))
        fetch(port)
        before, slab_before = host.pss_bytes(running.pid), slab_bytes()
        clients = []
        for offset in range(0, count, PER_CLIENT):
            settings = {
                "connect": f"127.0.0.1:{port}",
                "count": min(PER_CLIENT, count - offset),
                "offset": offset,
            }
            client = stack.enter_context(Load(bench, "idle", settings))
            refused = client.heard(patience=300)["refused"]
            if refused:
                print(f"{refused} connections were refused: {client.tail()}", file=sys.stderr)
            clients.append(client)
        after, slab_after = host.pss_bytes(running.pid), slab_bytes()
        # A worker full of idle connections still serves a new one.
        fetch(port)
        held = sum(client.report()["open"] for client in clients)
    if held == 0:
        raise Failed("no connection stayed open")
    return {
        "proxy": proxy.name,
        "label": proxy.label,
        "open": held,
        "user_bytes": (after - before) / held,
        "kernel_bytes": (slab_after - slab_before) / held,
        "pss_before": before,
        "pss_after": after,
    }


def fetch(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            answer.read()
    except OSError as error:
        raise Failed(f"the proxy does not answer: {error}") from error


def slab_bytes():
    text = Path("/proc/meminfo").read_text()
    return int(re.search(r"^Slab:\s+(\d+) kB", text, re.M)[1]) * 1024


def raise_sysctls():
    """Raises what is lower than needed; a host that refuses keeps its own."""
    for name, wanted in SYSCTLS.items():
        path = Path("/proc/sys") / name
        try:
            if int(path.read_text()) < wanted:
                path.write_text(str(wanted))
        except OSError as error:
            print(f"{name.replace('/', '.')} stays as it is: {error.strerror}", file=sys.stderr)


def parse():
    parser = argparse.ArgumentParser(prog="scripts/idle-connections", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50_000, help="connections to hold (50000)")
    parser.add_argument("--proxy", choices=list(PROXIES), default="ringgate-ring")
    parser.add_argument("--profile", default="release", help="cargo profile of our programs (release)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
