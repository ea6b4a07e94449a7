"""Starts of many sizes in many ways, and what the page and the figures show of them."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.model.parameters import Parameters
from benchmarks.model.start import FULL, LAZY, OURS, STAGES, Started, Way, simulate
from benchmarks.model.supply import SUPPLIES, Supply

SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 5000)
_FEW: Final = 64
"""Nodes up to which chance is tried several times."""
_SEEDS: Final = 7


@dataclass(frozen=True, slots=True)
class Line:
    """A way of starting, over sizes of jobs."""

    name: str
    title: str
    way: Way
    supply: Supply


@dataclass(frozen=True, slots=True)
class Point:
    """Starts of one size."""

    nodes: int
    starts: Sequence[Started]

    @property
    def seconds(self) -> float:
        """The median job."""
        return statistics.median(one.seconds for one in self.starts)


_WAYS: Final = (
    ("a", "full pull, pip, plain file", FULL),
    ("b", "lazy, pip, plain file", LAZY),
    ("c", "hot blocks, snapshot, striped", OURS),
)
_LESS: Final = (
    ("c less hot blocks", "lazy, snapshot, striped", Way("lazy", "mount", "striped")),
    ("c less snapshot", "hot blocks, pip, striped", Way("hot", "install", "striped")),
    ("c less striping", "hot blocks, snapshot, plain file", Way("hot", "mount", "plain")),
)
LINES: Final = (
    *(Line(name, title, way, supply) for supply in SUPPLIES for name, title, way in _WAYS),
    *(Line(name, title, way, "mirrors") for name, title, way in _LESS),
)


def sweep(
    parameters: Parameters,
    line: Line,
    sizes: Sequence[int],
    told: Callable[[str], None] = lambda _: None,
) -> list[Point]:
    """Return starts of each size; `told` hears of each."""
    points = []
    for nodes in sizes:
        told(f"{line.name} by {line.supply}, {nodes} nodes")
        seeds = range(1, (_SEEDS if nodes <= _FEW else 1) + 1)
        starts = [simulate(parameters, line.way, nodes, line.supply, seed) for seed in seeds]
        points.append(Point(nodes, starts))
    return points


def line_document(line: Line, points: Sequence[Point], gpus: float) -> dict[str, Any]:
    """Return what the page draws of a line."""
    return {
        "name": line.name,
        "title": line.title,
        "supply": line.supply,
        "points": [_point(point, gpus) for point in points],
    }


def _point(point: Point, gpus: float) -> dict[str, Any]:
    def median(value: Callable[[Started], float]) -> float:
        return round(statistics.median(map(value, point.starts)), 3)

    return {
        "nodes": point.nodes,
        "gpus": round(point.nodes * gpus),
        "seconds": median(lambda one: one.seconds),
        "least": round(min(one.seconds for one in point.starts), 3),
        "most": round(max(one.seconds for one in point.starts), 3),
        "node": median(lambda one: statistics.median(one.totals)),
        "straggler": median(lambda one: one.straggler),
        "stages": {stage: _stage(point, stage) for stage in STAGES},
        "registry_bytes": median(lambda one: one.registry_bytes),
        "registry_requests": median(lambda one: one.registry_requests),
    }


def _stage(point: Point, stage: str) -> float:
    return round(statistics.median(one.median(stage) for one in point.starts), 3)
