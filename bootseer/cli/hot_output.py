"""What `bootseer hot show` prints for people."""

import datetime as dt
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bootseer.cli.text import printable, size_text
from snapshotter.hot.record import Ended
from snapshotter.hot.report import HotReport, LayerHeat, Run
from snapshotter.layers.records import BLOCK, I64

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_RAMP: Final = ("#f2a007", "#ec6a2c", "#d8456f", "#a545b0", "#6f5bd6")
"""Early to late."""
_BESIDE: Final = 56
"""Columns that the table of layers takes besides its strips."""
_NARROWEST: Final = 16
_WIDEST: Final = 96
_RUNS: Final = 5
"""The newest recorded starts that are listed."""
_ENDED: Final = {
    Ended.WINDOW: "its time was over",
    Ended.QUIET: "nothing new for a while",
    Ended.FULL: "enough was recorded",
    Ended.STOPPED: "the container ended or was told to",
    Ended.INTERRUPTED: "interrupted",
}


def show_report(console: Console, report: HotReport, reference: str, *, top: int) -> None:
    """Print the report, with the `top` files of the most hot data."""
    width = min(max(console.width - _BESIDE, _NARROWEST), _WIDEST)
    _say(console, "image", f"{printable(reference.encode())}  {_short(report.manifest_digest)}")
    _say(console, "workload", report.workload or "default")
    for run in report.runs[-_RUNS:]:
        _say(console, "recorded", _run_text(run))
    if len(report.runs) > _RUNS:
        _say(console, "", f"and {len(report.runs) - _RUNS} earlier starts")
    share = report.hot_blocks * BLOCK / report.data_size if report.data_size else 0.0
    _say(
        console,
        "hot",
        f"{size_text(report.hot_blocks * BLOCK)} of {size_text(report.data_size)} ({share:.1%}):"
        f" {report.hot_blocks:,} blocks of 4 KiB, {report.hot_files:,} files,"
        f" all within {_time(report.last_ms)}",
    )
    console.print()
    console.print(_layers(report, width))
    console.print(Text("bars: how much of that place is hot; colour: when first touched", "dim"))
    unnamed = sum(heat.hot_blocks > 0 and not heat.named for heat in report.layers)
    if unnamed:
        console.print(
            f"layers whose files have no names: {unnamed}. No index is published that numbers their"
            " blocks (bootseer image index)"
        )
    console.print()
    console.print(_timeline(report, width))
    if report.files and top:
        console.print()
        console.print(_files(report, top))


def _say(console: Console, name: str, what: str) -> None:
    console.print(Text(f"{name:<9} {what}"), soft_wrap=True)


def _run_text(run: Run) -> str:
    try:
        when = f"{dt.datetime.fromtimestamp(run.created, dt.UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):  # a record may name a year that no calendar has
        when = "at an unknown time"
    return (
        f"{when}, {size_text(run.hot_blocks * BLOCK)}, watched for {_time(run.length_ms)}"
        f" ({_ENDED[run.ended]}), Linux {run.kernel} {run.architecture}"
    )


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _time(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.2f} s"


def _table(*columns: tuple[str, bool]) -> Table:
    """Return a table without lines; of each column its title, and whether it holds numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, number in columns:
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    return table


def _layers(report: HotReport, width: int) -> Table:
    table = _table(
        ("layer", False),
        ("hot", True),
        ("of", True),
        ("share", True),
        ("files", True),
        ("where", False),
    )
    for heat in report.layers:
        hot, data = heat.hot_blocks * BLOCK, heat.layer.data_size
        table.add_row(
            f"{_position(heat)} {_short(heat.layer.layer_digest)}",
            size_text(hot),
            size_text(data),
            f"{hot / data:.1%}" if data else "-",
            f"{heat.hot_files:,}" if heat.named else "?",
            _heat_strip(heat, report, width),
        )
    return table


def _position(heat: LayerHeat) -> str:
    return "-" if heat.position is None else str(heat.position)


def _heat_strip(heat: LayerHeat, report: HotReport, width: int) -> Text:
    """Draw a layer's data area, from its start to its end, whatever its size."""
    total = -(-heat.layer.blocks // report.cell_blocks)
    if not total:
        return Text("empty", style="dim")
    width = min(width, total)
    place = heat.cells.cell * width // total
    hot = np.bincount(place, heat.cells.hot, width)
    size = np.full(total, report.cell_blocks)
    size[-1] = heat.layer.blocks - (total - 1) * report.cell_blocks
    room = np.bincount(np.arange(total) * width // total, size, width)
    first = np.full(width, np.iinfo(np.int64).max)
    np.minimum.at(first, place, heat.cells.first_ms)
    text = Text()
    for share, ms in zip((hot / room).tolist(), first.tolist(), strict=True):
        text.append(_level(share), style=_colour(ms, report.last_ms) if share else "dim")
    return text


def _level(share: float) -> str:
    """Return a bar of this height, 0 to 1; a dot for nothing."""
    if not share:
        return "·"
    return _LEVELS[min(int(share * len(_LEVELS)), len(_LEVELS) - 1)]


def _colour(ms: int, last_ms: int) -> str:
    return _RAMP[min(ms * len(_RAMP) // (last_ms + 1), len(_RAMP) - 1)]


def _timeline(report: HotReport, width: int) -> Table:
    """Draw how much was touched when: new in each step, and all so far."""
    blocks = report.timeline.blocks
    total = blocks.sum(axis=0) if len(blocks) else np.zeros(1, dtype=np.int64)
    steps = min(width, len(total))
    ends = (np.arange(1, steps + 1) * len(total)) // steps - 1
    so_far = total[ends]
    new = np.diff(so_far, prepend=0)
    end_ms = len(total) * report.timeline.bucket_ms
    table = _table(("time", False), (f"0 to {_time(end_ms)}", False), ("", False))
    busiest = size_text(int(new.max()) * BLOCK)
    table.add_row(
        "new", _strip(new, ends, report), f"at most {busiest} in {_time(end_ms // steps)}"
    )
    table.add_row("so far", _strip(so_far, ends, report), size_text(int(so_far[-1]) * BLOCK))
    return table


def _strip(values: I64, ends: I64, report: HotReport) -> Text:
    most = max(int(values.max()), 1)
    text = Text()
    for value, end in zip(values.tolist(), ends.tolist(), strict=True):
        ms = min(end * report.timeline.bucket_ms, report.last_ms)
        text.append(_level(value / most), style=_colour(ms, report.last_ms) if value else "dim")
    return text


def _files(report: HotReport, top: int) -> Table:
    shown = report.files[:top]
    table = _table(("hot", True), ("of the file", True), ("first", True), ("layer", True))
    table.add_column(f"file ({len(shown)} of {report.hot_files:,})", overflow="fold")
    for one in shown:
        links = f"  +{one.other_names} hard links" if one.other_names else ""
        table.add_row(
            size_text(one.hot_blocks * BLOCK),
            f"{one.hot_blocks / one.blocks:.0%} of {size_text(one.size)}",
            _time(one.first_ms),
            _position(report.layers[one.layer]),
            Text(printable(one.path) + links),
        )
    return table
