"""What a benchmark found: figures, as a table for people and as JSON for machines."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `goal` is None where nothing was promised."""

    name: str
    value: float | None
    """None where it could not be measured."""
    unit: str
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        if self.value is None:
            return False
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the pairwise ratios of runs that were made in turn."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def spread(name: str, values: Sequence[float], unit: str) -> list[Figure]:
    """Return median, least and most of some runs, none of them promised."""
    return [
        Figure(f"{name}, median", statistics.median(values), unit),
        Figure(f"{name}, least", min(values), unit),
        Figure(f"{name}, most", max(values), unit),
    ]


def emit(title: str, figures: Sequence[Figure], json_file: Path | None) -> None:
    """Print the figures and write them to `json_file` if there is one."""
    table = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in ("figure", "value", "unit", "goal", ""):
        table.add_column(column, justify="right" if column in ("value", "goal") else "left")
    for figure in figures:
        value = "-" if figure.value is None else f"{figure.value:.4g}"
        sign = {"lower": "<=", "higher": ">="}[figure.better]
        goal = "" if figure.goal is None else f"{sign} {figure.goal:g}"
        met = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[figure.met]
        table.add_row(figure.name, value, figure.unit, goal, met)
    Console().print(table)
    if json_file:
        write_json(figures, json_file)


def write_json(figures: Sequence[Figure], file: Path) -> None:
    """Write figures for machines."""
    document = {"figures": [asdict(figure) for figure in figures]}
    file.write_text(json.dumps(document, indent=1) + "\n")
