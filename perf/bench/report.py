"""From samples to the table and the JSON."""

from dataclasses import asdict
from statistics import median

from .estimate import Estimate, paired_ratio
from .proxies import PROXIES
from .scenarios import bounds


def summarize(bench, row, samples):
    """Everything that is said of a row: medians, ratios, targets, what is missing."""
    values = {
        name: {number: sample["value"] for number, sample in rounds.items()}
        for name, rounds in samples.items()
        if rounds
    }

    def ratio(candidate, reference):
        if candidate not in values or reference not in values or candidate == reference:
            return None
        return paired_ratio(values[candidate], values[reference])

    medians = {name: median(rounds.values()) for name, rounds in values.items()}
    proxies = []
    for name in values:
        ratios = {reference: ratio(name, reference) for reference in row.references}
        proxies.append(
            {
                "name": name,
                "label": PROXIES[name].label,
                "estimate": asdict(Estimate.of(list(values[name].values()))),
                "ratios": {reference: asdict(found) for reference, found in ratios.items() if found},
                "extra": _extra(samples[name]),
            }
        )
    keys = ("candidate", "reference", "bound", "figure", "reached")
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "references": [name for name in row.references if name in values],
        "proxies": proxies,
        "targets": [dict(zip(keys, judged)) for judged in bounds(row, medians, ratio)],
        "missing": {name: why for (row_name, name), why in bench.missing.items() if row_name == row.name},
        "samples": samples,
    }


def _extra(rounds):
    """Medians of the second figures of a row's samples, flattened."""
    flat = {}
    for sample in rounds.values():
        for key, value in sample.items():
            parts = value.items() if isinstance(value, dict) else [(None, value)]
            for part, number in parts:
                flat.setdefault(f"{key}.{part}" if part else key, []).append(number)
    return {key: median(numbers) for key, numbers in flat.items() if key != "value"}


def table(rows):
    """One table as text: a block for each row, the cheapest candidate first."""
    lines = []
    for row in rows:
        labels = [f"/ {PROXIES[name].label}" for name in row["references"]]
        lines += ["", f"{row['title']} ({row['unit']})"]
        cells = [["", "median", "95 % interval", *labels, "share of core", "p99"]]
        for proxy in sorted(row["proxies"], key=lambda proxy: proxy["estimate"]["value"]):
            cells.append(_cells(row, proxy))
        widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
        for line in cells:
            first, *rest = (text.rjust(width) for text, width in zip(line, widths))
            lines.append("  " + "  ".join([line[0].ljust(widths[0]), *rest]).rstrip())
        for target in row["targets"]:
            lines.append("  " + _verdict(target))
        for name, why in row["missing"].items():
            lines.append(f"  not measured: {PROXIES[name].label}: {why}")
    return "\n".join(lines).lstrip("\n")


def _cells(row, proxy):
    estimate, extra = proxy["estimate"], proxy["extra"]
    cells = [proxy["label"], f"{estimate['value']:.2f}", f"{estimate['low']:.2f}-{estimate['high']:.2f}"]
    for reference in row["references"]:
        ratio = proxy["ratios"].get(reference)
        cells.append(f"{ratio['value']:.3f} ({ratio['low']:.3f}-{ratio['high']:.3f})" if ratio else "")
    p99 = extra.get("latency_us.p99", extra.get("delay_us.p99"))
    cells.append(f"{extra['core_share']:.0%}" if "core_share" in extra else "")
    cells.append(f"{p99:.0f} us" if p99 is not None else "")
    return cells


def _verdict(target):
    against = f" x {PROXIES[target['reference']].label}" if target["reference"] else ""
    verdict = "reached" if target["reached"] else "MISSED"
    label = PROXIES[target["candidate"]].label
    return f"{verdict}: {label} {target['figure']:.3g}{against}, to reach <= {target['bound']:g}"
