"""A report in the Trace Event Format, which Perfetto and Chrome's tracing show. Pure.

One process a node, one thread a rank (the node's own has number 0); times in microseconds. Format:
"Trace Event Format", complete events (`X`), and `B` alone for stages without an end.
"""

from collections.abc import Iterator
from typing import Any

from bootseer.profile.durations import StartTimes
from bootseer.profile.report import Report
from bootseer.profile.spans import Span


def trace_document(report: Report) -> dict[str, Any]:
    """Return the object that is written as JSON."""
    events: list[dict[str, Any]] = []
    process = 0
    for times in report.starts:
        numbers = {node.node: process + row for row, node in enumerate(times.nodes, 1)}
        process += len(numbers)
        events += _names(times, numbers)
        events += (_event(span, numbers[span.origin.node]) for span in times.start.spans)
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _names(times: StartTimes, numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    about = f"{times.start.job or 'no job'} attempt {times.start.attempt}"
    for node, process in numbers.items():
        name = {"name": f"{node} ({about})"}
        yield {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": name}
    ranks = {(span.origin.node, span.origin.rank) for span in times.start.spans}
    for node, rank in sorted(ranks, key=lambda pair: (pair[0], _thread(pair[1]))):
        name = {"name": "node" if rank is None else f"rank {rank}"}
        pair = {"pid": numbers[node], "tid": _thread(rank)}
        yield {"ph": "M", "name": "thread_name", **pair, "args": name}


def _event(span: Span, process: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "ph": "B" if span.length_ns is None else "X",
        "name": span.stage,
        "cat": "startup",
        "pid": process,
        "tid": _thread(span.origin.rank),
        "ts": span.begin_ns / 1e3,
        "args": dict(span.attributes),
    }
    if span.length_ns is not None:
        event["dur"] = span.length_ns / 1e3
    return event


def _thread(rank: int | None) -> int:
    return 0 if rank is None else rank + 1
