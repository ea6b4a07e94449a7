"""The model against what was measured: how far off it is, said for every figure.

`fitted`: a parameter was chosen so that this comes out; it says how well the model's shape fits.
`predicted`: nothing was chosen by it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.model.parameters import Parameters
from benchmarks.model.start import FULL, LAZY, OURS, Way, simulate

Megabits = float
Kind = Literal["fitted", "predicted"]
_SHARE: Final = 0.94
"""Of a link's bits, those that are data: what the pack's download reached."""
_UNLIMITED: Final = 10_000.0
"""Megabits a second between namespaces of one machine, about."""


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of a benchmark, and what the model says. Seconds."""

    what: str
    measured: float
    model: float
    kind: Kind

    @property
    def error(self) -> float:
        """How much too long the model's is, by what was measured."""
        return self.model / self.measured - 1


@dataclass(frozen=True, slots=True)
class _Wanted:
    file: str
    figure: str
    way: Way
    link: Megabits
    delay: float
    """Milliseconds."""
    kind: Kind


def _hot(link: str, megabits: Megabits, delay: int) -> _Wanted:
    figure = f"{link}, {delay} ms, hot blocks: work done"
    return _Wanted("hot.json", figure, OURS, megabits, delay, "predicted")


_LAZY_LINKS: Final[tuple[tuple[str, Megabits, Kind], ...]] = (
    ("200 Mbit/s", 200, "fitted"),
    ("1 Gbit/s", 1000, "predicted"),
    ("unlimited", _UNLIMITED, "fitted"),
)
_IMAGE: Final = (
    _Wanted("image.json", "200 Mbit/s, work done: full pull, median", FULL, 200, 0, "fitted"),
    _Wanted("image.json", "200 Mbit/s, work done: lazy, median", LAZY, 200, 0, "fitted"),
    *(
        _Wanted("hot.json", f"{name}, 5 ms, lazy without prefetch: work done", LAZY, link, 5, kind)
        for name, link, kind in _LAZY_LINKS
    ),
    *(
        _hot(name, link, delay)
        for name, link in (("200 Mbit/s", 200), ("1 Gbit/s", 1000), ("unlimited", _UNLIMITED))
        for delay in (0, 5, 20)
    ),
)


def checks(laboratory: Parameters, results: Path) -> list[Check]:
    """Return all comparisons that the files of figures below `results` allow."""
    found: list[Check] = []
    for wanted in _IMAGE:
        measured = _figures(results / wanted.file).get(wanted.figure)
        if measured:
            model = _image_seconds(laboratory, wanted.way, wanted.link, wanted.delay)
            found.append(Check(wanted.figure, measured, model, wanted.kind))
    return found


def _figures(file: Path) -> Mapping[str, float]:
    if not file.exists():
        return {}
    document: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {one["name"]: one["value"] for one in document["figures"]}


def _image_seconds(laboratory: Parameters, way: Way, link: Megabits, delay: float) -> float:
    node = replace(laboratory.node, rate=link * _SHARE * 1e6 / 8, delay=delay / 1e3)
    return simulate(replace(laboratory, node=node), way, 1).median("image")
