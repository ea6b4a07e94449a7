"""What the page draws: every stage of every node, in columns, which stays small. Pure.

Times are milliseconds since the start's first beginning.
"""

from collections.abc import Sequence
from typing import Any, Final

from bootseer.profile.durations import StartTimes
from bootseer.profile.report import KindReport, Report

_MOST_SPANS: Final = 400_000
"""All starts of a page together: some 10 MB of it."""
_MOST_STARTS: Final = 50


def picture_document(report: Report) -> dict[str, Any]:
    """Return the spans of the starts that a page has room for, the largest first to get it."""
    stages = _stages(report.kinds)
    chosen = _chosen(report.starts)
    return {
        "stages": stages,
        "left_out": len(report.starts) - len(chosen),
        "starts": [_start(report.starts[row], row, stages) for row in chosen],
    }


def _stages(kinds: Sequence[KindReport]) -> list[str]:
    return list(dict.fromkeys(row.stage for kind in kinds for row in kind.stages))


def _chosen(starts: Sequence[StartTimes]) -> list[int]:
    """Return the rows of the starts that are drawn, in their order."""
    room = _MOST_SPANS
    chosen: list[int] = []
    for row in sorted(range(len(starts)), key=lambda row: -len(starts[row].start.spans)):
        size = len(starts[row].start.spans)
        if size <= room and len(chosen) < _MOST_STARTS:
            chosen.append(row)
            room -= size
    return sorted(chosen)


def _start(times: StartTimes, row: int, stages: Sequence[str]) -> dict[str, Any]:
    spans = times.start.spans
    first = min((span.begin_ns for span in spans), default=0)
    node_rows = {node.node: number for number, node in enumerate(times.nodes)}
    # A stage that never ended anywhere is in no table, and is drawn all the same.
    stage_rows = {stage: number for number, stage in enumerate(stages)}
    return {
        "row": row,
        "nodes": [node.node for node in times.nodes],
        "totals": [round(node.total * 1e3, 1) for node in times.nodes],
        "node": [node_rows[span.origin.node] for span in spans],
        "stage": [stage_rows.get(span.stage, -1) for span in spans],
        "begin": [round((span.begin_ns - first) / 1e6, 1) for span in spans],
        "length": [
            -1 if span.length_ns is None else round(span.length_ns / 1e6, 1) for span in spans
        ],
        "rank": [-1 if span.origin.rank is None else span.origin.rank for span in spans],
    }
