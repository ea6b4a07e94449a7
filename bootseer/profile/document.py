"""A report as a JSON object, for machines and for the page. Pure.

docs/profile.md says what it holds. Seconds are rounded to microseconds: the clocks are not better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from bootseer.profile.clocks import Alignment
from bootseer.profile.durations import StartTimes
from bootseer.profile.report import Change, KindReport, Report, Spread, StageRow

_SLOWEST: Final = 10
"""Nodes of a start that are named."""


def report_document(report: Report, changes: Sequence[Change] = ()) -> dict[str, Any]:
    """Return what `--json` prints."""
    pairs = zip(report.starts, report.alignments, strict=True)
    return {
        "starts": [_start(times, alignment) for times, alignment in pairs],
        "kinds": [_kind(one) for one in report.kinds],
        "trouble": asdict(report.trouble),
        "gpus": report.gpus,
        "gpu_hours": None if report.gpu_hours is None else round(report.gpu_hours, 3),
        "notes": list(report.notes),
        "changes": [_change(one) for one in changes],
    }


def _start(times: StartTimes, alignment: Alignment) -> dict[str, Any]:
    slowest = sorted(times.nodes, key=lambda node: -node.total)[:_SLOWEST]
    return {
        "job": times.start.job,
        "attempt": times.start.attempt,
        "kind": times.start.kind.value,
        "began_ns": min((span.begin_ns for span in times.start.spans), default=0),
        "nodes": len(times.nodes),
        "seconds": _seconds(times.total),
        "straggler": round(times.straggler, 4),
        "slowest": [{"node": node.node, "seconds": _seconds(node.total)} for node in slowest],
        "unended": sum(node.unended for node in times.nodes),
        "aligned_at": alignment.stage,
        "clocks_off_seconds": _seconds(alignment.worst_ns / 1e9),
    }


def _kind(kind: KindReport) -> dict[str, Any]:
    return {
        "kind": kind.kind.value,
        "starts": kind.starts,
        "job": _spread(kind.job),
        "node": _spread(kind.node),
        "straggler": round(kind.straggler, 4),
        "idle_share": round(kind.idle_share, 4),
        "stages": [_row(row) for row in kind.stages],
    }


def _row(row: StageRow) -> dict[str, Any]:
    return {
        "stage": row.stage,
        "samples": row.samples,
        "node": _spread(row.node),
        "job": _spread(row.job),
        "straggler": round(row.straggler, 4),
        "share": round(row.share, 4),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind.value,
        "stage": change.stage,
        "before": _spread(change.before) if change.before else None,
        "after": _spread(change.after) if change.after else None,
        "ratio": None if change.ratio is None else round(change.ratio, 4),
    }


def _spread(spread: Spread) -> Mapping[str, float]:
    return {
        "median": _seconds(spread.median),
        "p95": _seconds(spread.p95),
        "max": _seconds(spread.most),
    }


def _seconds(value: float) -> float:
    return round(value, 6)
