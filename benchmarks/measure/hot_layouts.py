"""Ways to start over one link, in turn: layouts against each other, and what recording costs."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Figure, median_ratio, spread
from benchmarks.measure.hot_links import SLOW, Link
from benchmarks.measure.hot_place import PLAIN, ColdStart, Place
from tooling.progress import doing

_NEAR = Link(SLOW, 0.0)


def in_turn(place: Place, ways: Mapping[str, str]) -> dict[str, list[ColdStart]]:
    """Start with each of these settings `place.runs` times at 200 Mbit/s. Raises `HostError`."""
    done: dict[str, list[ColdStart]] = {way: [] for way in ways}
    place.net.set_rate(_NEAR.megabits)
    try:
        for run in range(place.runs):
            for way, settings in ways.items():
                with doing(f"{_NEAR.speed}, {way}, run {run + 1} of {place.runs}"):
                    done[way].append(place.cold_start(settings))
    finally:
        place.net.set_rate(None)
    return done


def measure_layouts(place: Place, records: Path) -> list[Figure]:
    """Compare the hot layout with the natural one; `records`: a store with a record and no pack."""
    from_layers = f"hot:\n  record: never\n  store: file://{records}\n"
    pack, hot, natural, nothing = (
        "hot layout from a pack",
        "hot layout from layers",
        "natural layout from layers",
        "nothing known",
    )
    ways = {
        pack: "hot:\n  record: never\n",
        hot: from_layers + "  layout: hot\n",
        natural: from_layers + "  layout: natural\n",
        nothing: PLAIN,
    }
    done = in_turn(place, ways)
    return [
        _times_slower(done, natural, hot),
        _times_slower(done, natural, pack),
        _times_slower(done, natural, nothing),
        *(figure for way, starts in done.items() for figure in _costs(way, starts)),
    ]


def measure_recording(place: Place) -> list[Figure]:
    """Compare a lazy start that is recorded with one that is not."""
    recorded, plain = "recorded", "not recorded"
    ways = {recorded: "hot:\n  record: always\n  prefetch: false\n", plain: PLAIN}
    done = in_turn(place, ways)
    seconds = {way: [one.seconds for one in starts] for way, starts in done.items()}
    return [
        Figure(
            f"{_NEAR.speed}: recorded start / lazy start that is not recorded",
            median_ratio(seconds[recorded], seconds[plain]),
            "x",
            1.3,
        ),
        *(figure for way, each in seconds.items() for figure in spread(way, each, "s")),
    ]


def _times_slower(done: Mapping[str, Sequence[ColdStart]], above: str, below: str) -> Figure:
    pair = ([one.seconds for one in done[way]] for way in (above, below))
    return Figure(f"{_NEAR.speed}: {above} / {below}, work done", median_ratio(*pair), "x")


def _costs(way: str, done: Sequence[ColdStart]) -> list[Figure]:
    median = statistics.median
    return [
        Figure(f"{way}: work done", median(one.seconds for one in done), "s"),
        Figure(f"{way}: fetched", median(one.start.bytes for one in done) / 1e6, "MB"),
        Figure(f"{way}: requests", median(one.start.requests for one in done), "requests"),
        Figure(f"{way}: block reads", median(one.block_reads for one in done), "reads"),
        Figure(f"{way}: server's processor time", median(one.processor for one in done), "s"),
    ]
