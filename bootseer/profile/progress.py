"""How far a start that goes on has come. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bootseer.profile.spans import Span
from bootseer.profile.starts import Start


@dataclass(frozen=True, slots=True)
class StageProgress:
    """One stage, in nodes."""

    stage: str
    through: int
    """Where it has ended, on all ranks that began it."""
    going_on: int
    median: float | None
    """Seconds it took where it has ended."""
    last_node: str
    """Where it has gone on longest; empty if it goes on nowhere."""
    last_seconds: float
    """For so long, by that node's clock and ours."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A start that goes on."""

    start: Start
    nodes: int
    seconds: float
    """Since its first stage began."""
    stages: Sequence[StageProgress]
    """In the order in which they began."""


def latest_start(starts: Iterable[Start], job: str = "") -> Start | None:
    """Return the start that began last, of a job if one is named."""
    wanted = [start for start in starts if not job or start.job == job]
    return max(wanted, key=_began, default=None)


def progress_of(start: Start, now_ns: int) -> Progress:
    """Return how far a start has come. `now_ns`: since 1970, by our clock."""
    by_stage: defaultdict[str, list[Span]] = defaultdict(list)
    for span in sorted(start.spans, key=lambda span: span.begin_ns):
        by_stage[span.stage].append(span)
    stages = [_stage(stage, spans, now_ns) for stage, spans in by_stage.items()]
    return Progress(start, len(start.nodes), max(now_ns - _began(start), 0) / 1e9, stages)


def _stage(stage: str, spans: Sequence[Span], now_ns: int) -> StageProgress:
    open_since: dict[str, int] = {}
    for span in spans:
        if span.length_ns is None:
            open_since.setdefault(span.origin.node, span.begin_ns)
    lengths = [span.length_ns / 1e9 for span in spans if span.length_ns is not None]
    nodes = {span.origin.node for span in spans}
    last = min(open_since, key=lambda node: open_since[node], default="")
    return StageProgress(
        stage,
        len(nodes) - len(open_since),
        len(open_since),
        float(np.median(lengths)) if lengths else None,
        last,
        max(now_ns - open_since[last], 0) / 1e9 if last else 0.0,
    )


def _began(start: Start) -> int:
    return min((span.begin_ns for span in start.spans), default=0)
