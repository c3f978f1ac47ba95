"""What the kernel says: CPU time of processes, their memory, steal, foreign load, host facts."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def descendants(pid):
    """The process and everything it started, while they live."""
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        try:
            for task in Path(f"/proc/{current}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def stat_fields(pid):
    """/proc/PID/stat from the state on, or None; utime and stime are fields 11 and 12 of these."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def cpu_ticks(pid):
    fields = stat_fields(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def cpu_ticks_with_reaped(pid):
    """The same with that of the children it has waited for: short-lived processes show there."""
    fields = stat_fields(pid)
    return sum(int(ticks) for ticks in fields[11:15]) if fields else 0


def cpu_seconds(pid):
    """User + system time of a process tree, kernel worker threads of its rings included.

    utime + stime are the scheduler's run time, scaled and cut to ticks of 10 ms. The same run time
    stands uncut in schedstat, for each living thread; it is taken where both agree, which they do
    unless a thread has ended.
    """
    exact, ticks = 0.0, 0.0
    for process in descendants(pid):
        ticks += cpu_ticks(process) / TICKS_PER_SECOND
        for task in Path(f"/proc/{process}/task").glob("*/schedstat"):
            try:
                exact += int(task.read_text().split()[0]) / 1e9
            except (OSError, IndexError):
                continue
    return exact if abs(exact - ticks) <= 0.03 + 0.01 * ticks else ticks


def pss_bytes(pid):
    """Proportional set size of a process tree: user-space memory, shared pages divided."""
    total = 0
    for process in descendants(pid):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1]) * 1024
    return total


def context_switches(pid):
    total = 0
    for process in descendants(pid):
        for task in Path(f"/proc/{process}/task").glob("*/status"):
            try:
                text = task.read_text()
            except OSError:
                continue
            total += sum(int(count) for count in re.findall(r"ctxt_switches:\s+(\d+)", text))
    return total


@dataclass
class Surroundings:
    """The rest of the host at one instant; two of them judge the time between."""

    cpu: dict
    processes: dict

    @staticmethod
    def now():
        cpu = {}
        for line in Path("/proc/stat").read_text().splitlines():
            name, *counts = line.split()
            if re.fullmatch(r"cpu\d+", name):
                cpu[int(name[3:])] = [int(count) for count in counts]
        processes = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                processes[int(entry)] = cpu_ticks_with_reaped(entry)
        return Surroundings(cpu, processes)

    def steal_since(self, before, cores):
        """The largest share of a core's time that the hypervisor took."""
        shares = []
        for core in cores:
            spent = [new - old for new, old in zip(self.cpu[core], before.cpu[core])]
            shares.append(spent[7] / max(sum(spent[:8]), 1))
        return max(shares)

    def foreign_since(self, before, ours, seconds):
        """What processes that are not ours used, in cores, and the name of the busiest."""
        ours = set(ours)
        used = [
            (ticks - before.processes.get(pid, 0), pid)
            for pid, ticks in self.processes.items()
            if pid not in ours
        ]
        busiest = max(used, default=(0, 0))[1]
        try:
            name = Path(f"/proc/{busiest}/comm").read_text().strip()
        except OSError:
            name = str(busiest)
        return sum(ticks for ticks, _ in used) / TICKS_PER_SECOND / seconds, name


def facts():
    """What a reader of the figures must know of the host."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.M)
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    return {
        "cpu": model[1] if model else platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "congestion_control": congestion.read_text().strip() if congestion.exists() else None,
        "virtual": "hypervisor" in cpuinfo,
    }
