"""The rows of the table. A module here that has a list `ROWS` adds its rows by being here.

A row is an object with
  name, title, unit    its key on the command line, its heading, what its figure counts
  kind                 http or sse, what the candidates are configured for
  proxies              names of the candidates, in the order of the table
  references           names of the candidates that ratios are taken against
  targets              (candidate, reference or None, bound) figures to reach, see `bounds`
  rounds_max           rounds that are enough for it, or None
  sample(bench, proxy) one measurement: a dict with `value` and whatever else is worth keeping;
                       raises `Failed` if any answer was not as it should be
"""

import importlib
import pkgutil


def rows():
    """All rows, in the order of the modules' names and of their lists."""
    found = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        found += importlib.import_module(f"{__name__}.{module.name}").ROWS
    return found


def bounds(row, medians, ratio):
    """Judges each target of a row: (candidate, reference, bound, figure, reached), unmeasured ones
    left out. Without a reference the bound is on the figure itself."""
    judged = []
    for candidate, reference, bound in row.targets:
        if reference is None:
            figure = medians.get(candidate)
        else:
            estimate = ratio(candidate, reference)
            figure = estimate.value if estimate else None
        if figure is not None:
            judged.append((candidate, reference, bound, figure, figure <= bound))
    return judged
