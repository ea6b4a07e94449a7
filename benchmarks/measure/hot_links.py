"""Starts with hot blocks over links of every speed and delay, against what is possible at all."""

import contextlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Figure
from benchmarks.lab.delay import delayed
from benchmarks.lab.registry import Registry
from benchmarks.measure.hot_place import PLAIN, ColdStart, Place
from benchmarks.parts import attempt
from tooling.progress import doing

SLOW, FAST = 200.0, 1000.0
DELAYS: Final = (0.0, 5.0, 20.0)
"""Milliseconds by which every request is held back."""
_NEAR, _SOME, _FAR = DELAYS
_BEST_PEER: Final = {SLOW: (8.9, 3.0), None: (3.4, 1.5)}
"""Megabits a second -> (seconds of the fastest peer, how many times sooner we have to be).

Measured earlier, on another machine of the same kind: Nydus 0.16.1 without prefetch; pull, start
and the same work; an image of Debian 12 with the same packages and a data file, 651 MiB.
"""


@dataclass(frozen=True, slots=True)
class Link:
    """A way to the registry."""

    megabits: float | None
    """Megabits a second; None: no limit."""
    delay: float
    """Milliseconds a request."""

    @property
    def speed(self) -> str:
        """The speed, for people."""
        if self.megabits is None:
            return "unlimited"
        whole = self.megabits / 1000
        return f"{whole:g} Gbit/s" if whole >= 1 else f"{self.megabits:g} Mbit/s"

    def __str__(self) -> str:
        """Return the link, for people."""
        return f"{self.speed}, {self.delay:g} ms"


LINKS: Final = tuple(Link(speed, delay) for speed in (SLOW, FAST, None) for delay in DELAYS)


def limit(link: Link, hot_bytes: float | None, local_seconds: float | None) -> float | None:
    """Return the least time of a start over a link, in seconds; None: something is not known.

    `hot_bytes`: the touched blocks, zstd -3 in frames of 512 KiB, in first-touch order;
    `local_seconds`: create, start and work with everything local and the page cache cold.
    """
    if hot_bytes is None or local_seconds is None or link.megabits is None:
        return None
    return max(hot_bytes * 8 / (link.megabits * 1e6), local_seconds)


Series = Mapping[Link, Sequence[ColdStart | None]]
"""Starts by link, in the order in which they were made; None where one failed."""


@dataclass(frozen=True, slots=True)
class Found:
    """All starts, made in turn."""

    hot: Series
    lazy: Series
    """Without prefetch, over links of some delay."""
    local: Mapping[Link, Sequence[float | None]]
    """Seconds of starts with everything local, each made just before the one over the link."""


def measure(place: Place, local_start: Callable[[], float]) -> Found:
    """Start over every link `place.runs` times; `local_start`: start with everything local."""
    hot: dict[Link, list[ColdStart | None]] = {link: [] for link in LINKS}
    lazy: dict[Link, list[ColdStart | None]] = {x: [] for x in LINKS if x.delay == _SOME}
    local: dict[Link, list[float | None]] = {x: [] for x in LINKS if x.megabits}
    with registries(place) as behind:
        for run in range(place.runs):
            for link in LINKS:
                place.net.set_rate(link.megabits)
                server = behind[link.delay]
                with doing(f"{link}, run {run + 1} of {place.runs}"):
                    if link in local:
                        local[link].append(attempt(f"{link}, all local", local_start))
                    hot[link].append(_start(place, "", server, f"{link}, hot blocks"))
                    if link in lazy:
                        lazy[link].append(_start(place, PLAIN, server, f"{link}, lazy"))
    place.net.set_rate(None)
    return Found(hot, lazy, local)


@contextlib.contextmanager
def registries(place: Place) -> Iterator[dict[float, Registry]]:
    """Give the registry as it is seen with each delay."""
    with contextlib.ExitStack() as stack:
        yield {
            delay: stack.enter_context(delayed(place.net, place.server, delay)) for delay in DELAYS
        }


def _start(place: Place, settings: str, server: Registry, what: str) -> ColdStart | None:
    return attempt(what, lambda: place.cold_start(settings, server))


def figures(found: Found, hot_bytes: float | None) -> list[Figure]:
    """Return what the starts say, each promise once; `hot_bytes`: see `limit`. Pure."""
    return [
        *_limits(found, hot_bytes),
        *_bytes(found, hot_bytes),
        *_against_lazy(found),
        *_flatness(found),
        *_misses(found),
        *_downloads(found),
        *_peers(found),
        *_medians(found),
    ]


def _limits(found: Found, hot_bytes: float | None) -> list[Figure]:
    made = []
    for link, local in found.local.items():
        limits = [limit(link, hot_bytes, seconds) for seconds in local]
        known = [one for one in limits if one is not None]
        pairs = [
            (start, least)
            for start, least in zip(found.hot[link], limits, strict=True)
            if start is not None and least is not None
        ]
        goal = 1.2 if link.delay == _NEAR else None  # the limit knows nothing of delays
        made += [
            Figure(
                f"{link}: work done, from the pull on / limit",
                _median_of([start.seconds / least for start, least in pairs]),
                "x",
                goal,
            ),
            Figure(
                f"{link}: work done, from the container's creation on / limit",
                _median_of([start.seconds_after_pull / least for start, least in pairs]),
                "x",
            ),
            Figure(f"{link}: limit", _median_of(known), "s"),
        ]
    return made


def _bytes(found: Found, hot_bytes: float | None) -> list[Figure]:
    return [
        Figure(
            f"{link}: fetched until work done / hot blocks in zstd -3",
            over(median(found.hot[link], lambda one: float(one.start.bytes)), hot_bytes),
            "x",
            1.1,
        )
        for link in LINKS
    ]


def _against_lazy(found: Found) -> list[Figure]:
    return [
        Figure(
            f"{link}: lazy without prefetch / with hot blocks, work done",
            ratio(lazy, found.hot[link]),
            "x",
            1.5,
            "higher",
        )
        for link, lazy in found.lazy.items()
    ]


def _flatness(found: Found) -> list[Figure]:
    return [
        Figure(
            f"{near.speed}: {_FAR:g} ms a request / {_NEAR:g} ms, work done",
            ratio(found.hot[Link(near.megabits, _FAR)], found.hot[near]),
            "x",
            1.15,
        )
        for near in LINKS
        if near.delay == _NEAR
    ]


def _misses(found: Found) -> list[Figure]:
    shares = {link: median(found.hot[link], _missed) for link in LINKS}
    known = [share for share in shares.values() if share is not None]
    worst = max(known) if len(known) == len(shares) else None
    return [
        Figure("demand misses, share of hot blocks, worst link", worst, "%", 2.0),
        *(Figure(f"{link}: demand misses", share, "%") for link, share in shares.items()),
    ]


def _missed(one: ColdStart) -> float:
    blocks = one.hot["blocks"] if one.hot else 0
    return 100 * one.misses / blocks if blocks else 100.0


def _downloads(found: Found) -> list[Figure]:
    """Compare the pack's download, from request to last byte, with the link."""
    made = []
    for link in (link for link in LINKS if link.megabits):
        speed = median(found.hot[link], _pack_speed)
        share = None if speed is None or link.megabits is None else 100 * speed / link.megabits
        goal = 90.0 if link.delay == _NEAR else None
        name = f"{link}: pack download, share of the link"
        made.append(Figure(name, share, "%", goal, "higher"))
    return made


def _pack_speed(one: ColdStart) -> float:
    """Return megabits a second; 0 if no pack was fetched to its end."""
    feed = one.hot["feed"] if one.hot else None
    seconds = feed["received_seconds"] if feed else 0.0
    return feed["bytes"] * 8 / 1e6 / seconds if feed and seconds else 0.0


def _peers(found: Found) -> list[Figure]:
    made = []
    for speed, (seconds, goal) in _BEST_PEER.items():
        link = Link(speed, _NEAR)
        ours = median(found.hot[link], lambda one: one.seconds)
        name = (
            f"{link.speed}: best peer as measured earlier (Nydus, {seconds:g} s, same work, its own"
            " image of 651 MiB) / ours"
        )
        made.append(Figure(name, over(seconds, ours), "x", goal, "higher"))
    return made


def _medians(found: Found) -> list[Figure]:
    made = []
    for way, series in (("hot blocks", found.hot), ("lazy without prefetch", found.lazy)):
        for link, done in series.items():
            name = f"{link}, {way}"
            made += [
                Figure(f"{name}: work done", median(done, lambda one: one.seconds), "s"),
                Figure(f"{name}: fetched", median(done, lambda one: one.start.bytes / 1e6), "MB"),
                Figure(
                    f"{name}: requests",
                    median(done, lambda one: float(one.start.requests)),
                    "requests",
                ),
            ]
    return made


def median(done: Sequence[ColdStart | None], value: Callable[[ColdStart], float]) -> float | None:
    """Return the median over the starts that did not fail; None if all did."""
    return _median_of([value(one) for one in done if one is not None])


def ratio(above: Sequence[ColdStart | None], below: Sequence[ColdStart | None]) -> float | None:
    """Return the median ratio of seconds over pairs of starts that were made in turn."""
    pairs = zip(above, below, strict=True)
    return _median_of([a.seconds / b.seconds for a, b in pairs if a is not None and b is not None])


def over(above: float | None, below: float | None) -> float | None:
    """Return `above / below` where both are known."""
    return None if above is None or below is None else above / below


def _median_of(known: Sequence[float]) -> float | None:
    return statistics.median(known) if known else None
