"""The bench: where programs and cores are, and the rounds that give every row its samples."""

import os
import random
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import host
from .process import Failed
from .proxies import find_program

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "perf" / "out"
STEAL_MAX = 0.01
FOREIGN_MAX = 0.05
# A sample that was disturbed is taken again at once, so often; then its round is discarded.
RETRIES = 3
QUIET_PATIENCE = 60.0


class Disturbed(Exception):
    """The host did something else meanwhile: the sample says nothing."""


@dataclass
class Window:
    """The measured stretch of one sample."""

    cpu_seconds: float = 0.0
    seconds: float = 0.0
    switches: int = 0
    steal: float = 0.0
    foreign: float = 0.0

    def figures(self, answers):
        return {
            "answers": answers,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "core_share": self.cpu_seconds / self.seconds,
            "switches_per_answer": self.switches / answers,
            "steal": self.steal,
            "foreign": self.foreign,
        }


@dataclass
class Bench:
    """Settings of a run, and what the samples of a row need."""

    target: Path
    profile: str
    work: Path
    warmup: float
    window: float
    descriptors: int
    proxy_core: int = 0
    load_core: int = 1
    tolerant: bool = False
    missing: dict = field(default_factory=dict)

    @property
    def perf_load(self):
        return self.program("perf-load")

    def program(self, name):
        return find_program(name, self.target, self.profile)

    @contextmanager
    def window_of(self, running, ours):
        """Measures the proxy `running` while the block runs; raises Disturbed where others ran too."""
        window = Window()
        ours = [os.getpid(), *ours]
        before = host.Surroundings.now()
        switches, cpu, start = host.context_switches(running.pid), host.cpu_seconds(running.pid), time.monotonic()
        yield window
        window.cpu_seconds = host.cpu_seconds(running.pid) - cpu
        window.seconds = time.monotonic() - start
        window.switches = host.context_switches(running.pid) - switches
        after = host.Surroundings.now()
        ours += host.descendants(running.pid)
        window.steal = after.steal_since(before, (self.proxy_core, self.load_core))
        window.foreign, name = after.foreign_since(before, ours, window.seconds)
        if running.child.poll() is not None:
            raise Failed(f"{running.name} ended under load: {running.tail()}")
        if self.tolerant:
            return
        if window.steal > STEAL_MAX:
            raise Disturbed(f"steal of {window.steal:.1%}")
        if window.foreign > FOREIGN_MAX:
            raise Disturbed(f"others, {name} first, used {window.foreign:.0%} of a core")


def measure(bench, rows, proxies, rounds):
    """Runs the rounds; returns {row: {proxy: {round: sample}}}. Complete rounds only.

    A discarded round is made up for by a further one, up to twice as many in all. A candidate that
    fails in a way of its own (not there, wrong answers) is left out from then on and stands in
    `bench.missing` with the reason.
    """
    results = {row.name: {name: {} for name in row.proxies if name in proxies} for row in rows}
    wanted = {row.name: min(rounds, row.rounds_max or rounds) for row in rows}
    done = dict.fromkeys(wanted, 0)
    order = random.Random()
    for number in range(2 * rounds):
        for row in rows:
            if done[row.name] == wanted[row.name]:
                continue
            heading = f"round {done[row.name] + 1}/{wanted[row.name]} {row.name}"
            samples = _round(bench, row, proxies, order, heading)
            done[row.name] += samples is not None
            for name, sample in (samples or {}).items():
                results[row.name][name][number] = sample
    return results


def _round(bench, row, proxies, order, heading):
    """One sample of each candidate, in random order; None if the host left no quiet moment."""
    names = [name for name in row.proxies if name in proxies and (row.name, name) not in bench.missing]
    order.shuffle(names)
    samples = {}
    for name in names:
        try:
            samples[name] = _quiet_sample(bench, row, proxies[name], heading)
        except Disturbed as why:
            _say(f"{heading}: discarded, {why}")
            return None
        except Failed as why:
            bench.missing[row.name, name] = str(why)
            _say(f"{heading}: {name} is left out: {why}")
            continue
        _say(f"{heading}: {name} {samples[name]['value']:.2f} {row.unit}")
    return samples


def _quiet_sample(bench, row, proxy, heading):
    for attempt in range(RETRIES):
        try:
            return row.sample(bench, proxy)
        except Disturbed as why:
            if attempt == RETRIES - 1:
                raise
            _say(f"{heading}: {proxy.name} again, {why}")
            _await_quiet(bench)
    raise AssertionError("unreachable")


def _await_quiet(bench):
    """Gives what disturbed the sample time to end: until a second is quiet, or a minute is over."""
    deadline = time.monotonic() + QUIET_PATIENCE
    while time.monotonic() < deadline:
        before = host.Surroundings.now()
        time.sleep(1)
        after = host.Surroundings.now()
        foreign, _ = after.foreign_since(before, [os.getpid()], 1)
        if foreign <= FOREIGN_MAX and after.steal_since(before, (bench.proxy_core, bench.load_core)) <= STEAL_MAX:
            return


def _say(text):
    print(text, file=sys.stderr, flush=True)
