"""Command line of the bench; `scripts/bench` prepares the host and calls it."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from . import host
from .bench import OUT, ROOT, Bench, measure
from .process import raise_descriptor_limit
from .proxies import PROXIES
from .report import summarize, table
from .scenarios import rows as all_rows
from .svg import draw

DESCRIPTORS = 65_536


def main():
    known = all_rows()
    options = parse(known)
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: the proxy and its load need a core each; this host has one")
    descriptors = raise_descriptor_limit(DESCRIPTORS)
    # The samples pin their own processes; ours stays off the proxy's core.
    os.sched_setaffinity(0, {1})
    work = OUT / "work"
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        target=Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")),
        profile=options.profile,
        work=work,
        warmup=1.0 if options.quick else 2.0,
        window=2.0 if options.quick else 6.0,
        descriptors=descriptors,
        tolerant=options.tolerant,
    )
    if bench.perf_load is None:
        sys.exit("bench: perf-load is not built; run scripts/bench")
    rows = [row for row in known if not options.only or row.name in options.only]
    proxies = {name: PROXIES[name] for name in options.proxies}
    started = time.time()
    results = measure(bench, rows, proxies, options.rounds or (3 if options.quick else 15))
    summaries = [summarize(bench, row, results[row.name]) for row in rows]
    report = {
        "host": host.facts(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started),
        "window_seconds": bench.window,
        "profile": bench.profile,
        "rows": summaries,
    }
    (OUT / "bench.json").write_text(json.dumps(report, indent=1))
    (OUT / "bench.svg").write_text(draw(summaries))
    print(table(summaries))
    print(f"\n{OUT / 'bench.json'}\n{OUT / 'bench.svg'}")
    # Envoy is not to be had everywhere; all else that was asked for must be in the table.
    absent = [why for (_, name), why in bench.missing.items() if name != "envoy"]
    unmeasured = any(not row["proxies"] for row in summaries)
    if absent or unmeasured or (options.check and not all_reached(summaries)):
        sys.exit(1)


def all_reached(summaries):
    return all(target["reached"] for row in summaries for target in row["targets"])


def parse(known):
    names = lambda choices: lambda text: checked(text.split(","), choices)
    row_names = [row.name for row in known]
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="CPU per request and per event, and memory per stream, of Ringgate and its peers.",
        epilog=f"rows: {', '.join(row_names)}. candidates: {', '.join(PROXIES)}.",
    )
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s: a look, not a result")
    parser.add_argument("--rounds", type=int, help="rounds of every row (15)")
    parser.add_argument("--only", type=names(row_names), metavar="ROW[,ROW]", help="these rows only")
    parser.add_argument(
        "--proxies",
        type=names(PROXIES),
        metavar="NAME[,NAME]",
        default=[name for name in PROXIES if name != "null-relay-again"],
        help="these candidates only; null-relay-again next to null-relay shows the noise floor",
    )
    parser.add_argument("--profile", default="release", help="cargo profile of our programs (release)")
    parser.add_argument("--tolerant", action="store_true", help="keep samples of a disturbed host")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    return parser.parse_args()


def checked(names, choices):
    for name in names:
        if name not in choices:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(choices)}")
    return names


if __name__ == "__main__":
    main()
