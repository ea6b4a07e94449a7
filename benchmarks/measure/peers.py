"""The same start by other snapshotters, in turn with ours, in one run."""

import contextlib
import itertools
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, spread
from benchmarks.lab import starts
from benchmarks.lab.cleanup import unmount_below
from benchmarks.measure.hot_links import FAST, SLOW, Link
from benchmarks.measure.hot_place import Place
from benchmarks.parts import attempt
from benchmarks.peers import stargz
from bootseer.errors import HostError
from tooling.progress import doing
from tooling.running import SetupError

_GOALS: Final = {SLOW: 3.0, FAST: None, None: 1.5}
"""Megabits a second -> how many times sooner than the best of them we have to be."""


@dataclass(frozen=True, slots=True)
class Way:
    """A snapshotter with an image it is at home with."""

    name: str
    snapshotter: str
    reference: str
    node: Callable[[Path], AbstractContextManager[starts.Node]]


Series = Sequence[starts.Start | None]
"""Starts by one way over one link, in the order in which they were made; None where one failed."""


def measure(place: Place, layout: Path, recorded: str) -> list[Figure]:
    """Start `place.runs` times over every link each way. `layout`: the image, as it was pushed;
    `recorded`: its reference, with records and a pack. Raises `HostError`.
    """
    ways = _ways(place, layout, recorded)
    made = []
    for rate, goal in _GOALS.items():
        found: dict[str, list[starts.Start | None]] = {way.name: [] for way in ways}
        place.net.set_rate(rate)
        for run in range(place.runs):
            for way in ways:
                with doing(f"{Link(rate, 0).speed}: {way.name}, run {run + 1} of {place.runs}"):
                    found[way.name].append(attempt(way.name, partial(_start, place, way)))
        place.net.set_rate(None)
        made += figures(Link(rate, 0).speed, found, ways[0].name, goal)
    return made


def _ways(place: Place, layout: Path, recorded: str) -> Sequence[Way]:
    """Return ours, then the others. Raises `HostError`."""
    try:
        program = stargz.PROGRAM.ensure()
    except SetupError as error:
        raise HostError(f"stargz cannot be built: {error}") from error
    first = stargz.touched_files(place.net, recorded)
    with doing("the image for stargz, as it is and optimised (converted once, kept)"):
        plain = stargz.converted(program, layout)
        best = stargz.converted(program, layout, first)
    pushed = {
        title: stargz.push(image, place.net, place.server, name)
        for title, image, name in (
            ("stargz", plain, "stargz"),
            ("stargz, its optimised image", best, "stargz-optimised"),
        )
    }

    def ours(directory: Path) -> AbstractContextManager[starts.Node]:
        return starts.fresh_node(place.net, directory, place.server.host)

    def theirs(directory: Path) -> AbstractContextManager[starts.Node]:
        return stargz.fresh_node(program, place.net, directory, place.server.host)

    return [
        Way("ours, hot blocks", starts.LAZY, recorded, ours),
        *(Way(title, stargz.NAME, reference, theirs) for title, reference in pushed.items()),
    ]


_numbers = itertools.count()


def _start(place: Place, way: Way) -> starts.Start:
    with _home(place.directory / f"p{next(_numbers)}") as home, way.node(home) as node:
        return starts.start(
            node, place.net, place.server, way.reference, way.snapshotter, place.command
        )


@contextlib.contextmanager
def _home(directory: Path) -> Iterator[Path]:
    try:
        yield directory
    finally:
        unmount_below(directory)
        shutil.rmtree(directory, ignore_errors=True)


def figures(speed: str, found: Mapping[str, Series], ours: str, goal: float | None) -> list[Figure]:
    """Return how many times sooner ours is than each, and what each took. Pure."""
    made = []
    for name, series in found.items():
        if name != ours:
            pairs = zip(series, found[ours], strict=True)
            known = [a.seconds("work") / b.seconds("work") for a, b in pairs if a and b]
            ratio = statistics.median(known) if known else None
            made.append(Figure(f"{speed}: {name} / ours", ratio, "x", goal, "higher"))
        if done := [one for one in series if one]:
            made += spread(f"{speed}: {name}", [one.seconds("work") for one in done], "s")
            fetched = statistics.median(one.bytes / 1e6 for one in done)
            requests = statistics.median(one.requests for one in done)
            made.append(Figure(f"{speed}: {name}, fetched", fetched, "MB"))
            made.append(Figure(f"{speed}: {name}, requests", requests, "requests"))
    return made
