"""How long stages took: on each node, and for the whole job. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bootseer.profile.spans import Span
from bootseer.profile.starts import Start

_NS = 1e9


@dataclass(frozen=True, slots=True)
class NodeTimes:
    """Seconds on one node."""

    node: str
    total: float
    """From the beginning of the first stage to the end of the last."""
    idle: float
    """Of that, in no stage at all."""
    stages: dict[str, float]
    """While the stage went on, on any rank. Stages may overlap, and hold others."""
    unended: int
    """Stages without an end (a count)."""


@dataclass(frozen=True, slots=True)
class StartTimes:
    """Seconds of one start."""

    start: Start
    total: float
    """From the first beginning on any node to the last end on any."""
    nodes: Sequence[NodeTimes]
    stages: dict[str, float]
    """From the first beginning on any node to the last end on any: what the job waits for."""

    @property
    def straggler(self) -> float:
        """The slowest node's time by the median node's; 1 where nothing took any time."""
        return ratio_to_median([node.total for node in self.nodes])


def measure(start: Start) -> StartTimes:
    """Return how long a start took, in all and by stage."""
    by_node: defaultdict[str, list[Span]] = defaultdict(list)
    by_stage: defaultdict[str, list[Span]] = defaultdict(list)
    for span in start.spans:
        by_node[span.origin.node].append(span)
        if span.length_ns is not None:
            by_stage[span.stage].append(span)
    nodes = [_of_node(node, by_node[node]) for node in sorted(by_node)]
    stages = {stage: _reach(spans) for stage, spans in by_stage.items()}
    return StartTimes(start, _reach(start.spans), nodes, stages)


def _of_node(node: str, spans: Sequence[Span]) -> NodeTimes:
    by_stage: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.length_ns is not None:
            by_stage[span.stage].append(span)
    total = _reach(spans)
    unended = sum(span.length_ns is None for span in spans)
    stages = {stage: _covered(own) for stage, own in by_stage.items()}
    return NodeTimes(node, total, max(total - _covered(spans), 0.0), stages, unended)


def _reach(spans: Sequence[Span]) -> float:
    """Return the seconds from the first beginning to the last end."""
    if not spans:
        return 0.0
    begin = min(span.begin_ns for span in spans)
    return (max(span.end_ns for span in spans) - begin) / _NS


def _covered(spans: Iterable[Span]) -> float:
    """Return the seconds in which at least one of the spans went on."""
    covered, until = 0, 0
    for begin, end in sorted((span.begin_ns, span.end_ns) for span in spans):
        covered += max(end - max(begin, until), 0)
        until = max(until, end)
    return covered / _NS


def ratio_to_median(values: Sequence[float]) -> float:
    """Return the largest value by the median; 1 where the median is nothing."""
    middle = float(np.median(values)) if values else 0.0
    return max(values) / middle if middle > 0 else 1.0
