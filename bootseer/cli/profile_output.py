"""What `bootseer profile` prints for people."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bootseer.cli.text import printable
from bootseer.profile.durations import StartTimes
from bootseer.profile.progress import Progress
from bootseer.profile.report import Change, KindReport, Report, StageRow
from bootseer.profile.spans import Trouble

_STARTS: Final = 10
"""The slowest starts that are listed."""
_BAR: Final = 24
_TROUBLE: Final = {
    "broken": "lines that are no events",
    "duplicates": "events that are there twice",
    "disordered": "written out of order",
    "unended": "stages without an end",
    "unbegun": "ends without a beginning",
    "lost": "could not be written",
    "homeless": "stages of daemons that belong to no start",
}


def report_view(report: Report, changes: Sequence[Change]) -> RenderableType:
    """Return the whole report."""
    parts: list[RenderableType] = [_head(report)]
    for kind in report.kinds:
        parts += [Text(), _kind_title(kind), _stages(kind)]
    if changes:
        parts += [Text(), Text("Compared with the baseline (median seconds)", "bold")]
        parts.append(_changes(changes))
    parts += [Text(), _starts(report.starts)]
    parts += [Text(note, "yellow") for note in _notes(report)]
    return Group(*parts)


def watch_view(progress: Progress | None) -> RenderableType:
    """Return how far a start has come."""
    if progress is None:
        return Text("no start yet", "dim")
    start = progress.start
    head = f"{start.job or 'no job'}, attempt {start.attempt}: {seconds_text(progress.seconds)}"
    table = _table(("stage", "", "through", "going on", "median", "longest going on"))
    for one in progress.stages:
        share = one.through / progress.nodes
        table.add_row(
            _name(one.stage),
            Text("█" * round(share * _BAR), "green")
            + Text("░" * (_BAR - round(share * _BAR)), "dim"),
            f"{one.through:,} of {progress.nodes:,}",
            f"{one.going_on:,}",
            "-" if one.median is None else seconds_text(one.median),
            _name(f"{one.last_node} {seconds_text(one.last_seconds)}" if one.last_node else ""),
        )
    return Group(_name(head), table)


def _head(report: Report) -> Text:
    nodes = max((len(one.nodes) for one in report.starts), default=0)
    text = f"{len(report.starts):,} starts, up to {nodes:,} nodes"
    if report.gpu_hours is not None:
        text += f", {report.gpu_hours:,.2f} GPU hours until the last node was ready"
    return Text(text)


def _kind_title(kind: KindReport) -> Text:
    return Text.assemble(
        (f"{kind.kind.capitalize()}s: {kind.starts:,}", "bold"),
        f"   median {seconds_text(kind.job.median)}, p95 {seconds_text(kind.job.p95)};"
        f" a node {seconds_text(kind.node.median)}, slowest {kind.straggler:.2f}x of that;"
        f" in no stage {kind.idle_share:.0%}",
    )


def _stages(kind: KindReport) -> Table:
    table = _table(("stage", "median", "p95", "slowest", "straggler", "of all", "", "job waits"))
    for row in kind.stages:
        table.add_row(*_stage(row))
    return table


def _stage(row: StageRow) -> Iterable[RenderableType]:
    yield _name(row.stage)
    for value in (row.node.median, row.node.p95, row.node.most):
        yield seconds_text(value)
    yield Text(f"{row.straggler:.2f}x", "red" if row.straggler > 1.5 else "")
    yield f"{row.share:.0%}"
    yield Text("█" * round(min(row.share, 1) * _BAR), "cyan")
    yield seconds_text(row.job.median)


def _changes(changes: Iterable[Change]) -> Table:
    table = _table(("stage", "baseline", "these", "faster"))
    for one in changes:
        table.add_row(
            _name(one.stage) if one.stage else Text(f"whole {one.kind}", "bold"),
            seconds_text(one.before.median) if one.before else "-",
            seconds_text(one.after.median) if one.after else "-",
            "-" if one.ratio is None else f"{one.ratio:.2f}x",
        )
    return table


def _starts(starts: Sequence[StartTimes]) -> Table:
    table = _table(("start", "kind", "nodes", "took", "straggler", "slowest node"))
    for one in sorted(starts, key=lambda times: -times.total)[:_STARTS]:
        slowest = max(one.nodes, key=lambda node: node.total)
        table.add_row(
            _name(f"{one.start.job or 'no job'} attempt {one.start.attempt}"),
            one.start.kind.value,
            f"{len(one.nodes):,}",
            seconds_text(one.total),
            f"{one.straggler:.2f}x",
            _name(slowest.node),
        )
    return table


def _notes(report: Report) -> Iterable[str]:
    yield from trouble_lines(report.trouble)
    aligned = [one for one in report.alignments if one.stage]
    if aligned:
        worst = max(one.worst_ns for one in aligned) / 1e9
        at = aligned[0].stage
        yield f"clocks of nodes were set by the end of {at}: off by up to {worst:.3f} s"
    elif any(len(one.nodes) > 1 for one in report.starts):
        yield "clocks of nodes are taken as they are: no stage says that all leave it at once"
    yield from report.notes


def trouble_lines(trouble: Trouble) -> Iterable[str]:
    """Return what is wrong with events, a line a kind."""
    for name, number in asdict(trouble).items():
        if number:
            yield f"{_TROUBLE[name]}: {number:,}"


def seconds_text(value: float) -> str:
    """Return a time as people read it."""
    if value < 1:
        return f"{value * 1e3:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _name(text: str) -> Text:
    return Text(printable(text.encode(errors="replace")))


def _table(titles: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    words = {"stage", "kind", "start", "slowest node", "longest going on", ""}
    for title in titles:
        table.add_column(title, justify="left" if title in words else "right")
    return table
