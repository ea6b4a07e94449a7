"""The table of a comparison, as Markdown that is also readable as it is."""

import math
import statistics
from collections.abc import Mapping, Sequence

from idpl.accuracy import Accuracy
from idpl.classes import ClassSet

Results = Mapping[str, Sequence[Accuracy]]
"""For each method what its seeds gave."""


def table(results: Results, classes: ClassSet) -> str:
    """Return IoU in percent for each class, their mean, and that of the hard ones (`*`).

    With several seeds means and, behind the means, the standard deviation between seeds.
    """
    names = [f"{name}*" if name in classes.hard else name for name in classes.names]
    rows = [["method", *names, "mean", "hard*"]]
    for method, found in results.items():
        by_class = [[one.by_class[number] for one in found] for number in range(len(classes))]
        cells = [_mean(values) for values in by_class]
        means = [one.mean() for one in found], [one.hard_mean() for one in found]
        rows.append([method, *cells, *(_spread(values) for values in means)])
    return _aligned(rows)


def _mean(values: Sequence[float]) -> str:
    present = [value for value in values if not math.isnan(value)]
    return f"{100 * statistics.fmean(present):.1f}" if present else "-"


def _spread(values: Sequence[float]) -> str:
    present = [value for value in values if not math.isnan(value)]
    if len(present) < 2:
        return _mean(values)
    return f"{_mean(present)} ± {100 * statistics.stdev(present):.1f}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in (rows[0], rule, *rows[1:]):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)
