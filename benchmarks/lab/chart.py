"""Runs side by side in a terminal: a line a stage, a column a run, one time scale for all."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.lab.timeline import Run, Stage, bar

_COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue")
_NAME_WIDTH: Final = 18
_NARROWEST: Final = 10


def chart(runs: Sequence[Run], *, width: int) -> Table:
    """Return a table of `runs` for a terminal of `width` columns; colour carries no meaning."""
    cells = max(_NARROWEST, (width - _NAME_WIDTH) // max(1, len(runs)) - 14)
    total = max((run.seconds for run in runs), default=0.0)
    table = Table(box=None, pad_edge=False, show_footer=True, header_style="bold")
    table.add_column("", footer="ready after", no_wrap=True)
    for run in runs:
        table.add_column(run.name, footer=f"{run.seconds:.1f} s", no_wrap=True)
    for number, name in enumerate(_stage_names(runs)):
        colour = _COLOURS[number % len(_COLOURS)]
        drawn = (_cell(run.stage(name), total, cells, colour) for run in runs)
        table.add_row(name, *drawn)
    return table


def _stage_names(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(stage.name for run in runs for stage in run.stages))


def _cell(stage: Stage | None, total: float, cells: int, colour: str) -> Text:
    if stage is None:
        return Text(" " * cells + "       -", style="dim")
    offset, length = bar(stage, total, cells)
    text = Text(" " * offset)
    text.append("█" * length, style=colour)
    text.append(" " * (cells - offset - length))
    text.append(f" {stage.seconds:5.1f} s")
    return text


def print_chart(console: Console, runs: Sequence[Run]) -> None:
    """Print `runs` side by side, as wide as the console is."""
    console.print(chart(runs, width=console.width))
