"""Figures of `scripts/bench hot` from starts that were measured, some of which failed."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.figures import Figure
from benchmarks.lab.starts import Start
from benchmarks.lab.timeline import Run, Stage
from benchmarks.measure.hot_links import DELAYS, LINKS, Found, Link, figures, limit
from benchmarks.measure.hot_place import ColdStart
from benchmarks.measure.hot_record import compressed
from benchmarks.parts import attempt, measured
from bootseer.errors import HostError

BLOCKS = 1000
SLOW = Link(200.0, 0.0)


def cold_start(seconds: float, *, demand: int = 0, rushed: int = 0) -> ColdStart:
    """A start whose pull took a second."""
    stages = (Stage("pull", 0, 1), Stage("work", 1, seconds))
    feed = {"rushed": rushed, "bytes": 25_000_000, "received_seconds": 1.0}
    reads = {"hot": {"cache": 5, "joined": 2, "demand": demand}, "layers": {"demand": 0}}
    hot = {"blocks": BLOCKS, "feed": feed}
    return ColdStart(Start(Run("x", stages), [], 30_000_000, 14), hot, reads, 0.5)


def found(
    seconds: float = 3.0,
    lazy: float = 12.0,
    starts: Sequence[ColdStart | None] | None = None,
    local: float | None = 2.5,
) -> Found:
    """The same starts over all links."""
    some = [cold_start(seconds)] * 3 if starts is None else starts
    return Found(
        dict.fromkeys(LINKS, some),
        {link: [cold_start(lazy)] * len(some) for link in LINKS if link.delay == DELAYS[1]},
        {link: [local] * len(some) for link in LINKS if link.megabits},
    )


def by_name(made: list[Figure]) -> dict[str, Figure]:
    names = [figure.name for figure in made]
    assert len(names) == len(set(names)), "a figure is there twice"
    return {figure.name: figure for figure in made}


def test_limit_is_what_the_link_and_the_machine_both_allow() -> None:
    assert limit(SLOW, 25e6, 0.5) == 1.0
    assert limit(SLOW, 25e6, 2.5) == 2.5
    assert limit(Link(None, 0.0), 25e6, 2.5) is None
    assert limit(SLOW, None, 2.5) is None


def test_each_start_is_weighed_by_the_local_one_made_beside_it() -> None:
    starts = [cold_start(3.0), cold_start(6.0), cold_start(9.0)]
    made = found(starts=starts)
    made = replace(made, local={SLOW: [2.5, 5.0, None]})
    by = by_name(figures(made, 28e6))
    assert by["200 Mbit/s, 0 ms: work done, from the pull on / limit"].value == 1.2


def test_every_promise_is_one_figure_with_its_goal() -> None:
    made = by_name(figures(found(), 28e6))
    assert made["200 Mbit/s, 0 ms: work done, from the pull on / limit"].value == 1.2
    assert made["200 Mbit/s, 0 ms: work done, from the pull on / limit"].met
    fetched = made["200 Mbit/s, 20 ms: fetched until work done / hot blocks in zstd -3"]
    assert fetched.value == pytest.approx(30 / 28)
    assert made["1 Gbit/s: 20 ms a request / 0 ms, work done"].value == 1.0
    lazy = made["unlimited, 5 ms: lazy without prefetch / with hot blocks, work done"]
    assert (lazy.value, lazy.goal, lazy.better) == (4.0, 1.5, "higher")
    assert made["200 Mbit/s, 0 ms: pack download, share of the link"].value == 100.0
    assert made["demand misses, share of hot blocks, worst link"].value == 0


def test_misses_are_reads_that_something_was_fetched_for() -> None:
    one = cold_start(3.0, demand=3, rushed=4)
    assert one.block_reads == 10
    made = by_name(figures(found(starts=[one]), 28e6))
    assert made["demand misses, share of hot blocks, worst link"].value == 100 * 7 / BLOCKS


def test_start_without_hot_blocks_counts_as_one_that_missed_them_all() -> None:
    one = ColdStart(cold_start(3.0).start, None, {}, 0.0)
    made = by_name(figures(found(starts=[one]), 28e6))
    assert made["demand misses, share of hot blocks, worst link"].value == 100
    assert made["200 Mbit/s, 0 ms: pack download, share of the link"].value == 0


def test_what_could_not_be_measured_is_unknown_and_the_rest_is_there() -> None:
    made = by_name(figures(found(starts=[None, cold_start(4.0), None], local=None), None))
    assert made["200 Mbit/s, 0 ms: work done, from the pull on / limit"].met is False
    assert made["200 Mbit/s, 0 ms, hot blocks: work done"].value == 4.0
    none = by_name(figures(found(starts=[None]), 28e6))
    assert none["demand misses, share of hot blocks, worst link"].value is None
    assert none["200 Mbit/s, 5 ms, lazy without prefetch: work done"].value == 12.0
    assert set(none) == set(made)


def test_blocks_are_compressed_in_frames_of_their_own() -> None:
    pieces = [bytes(4096)] * 100
    assert 0 < compressed(pieces) < compressed(pieces, frame=4096) < 409_600
    assert compressed([]) == 0


def test_a_part_that_fails_counts_as_missed_and_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails() -> list[Figure]:
        raise HostError("no disk")

    assert [figure.met for figure in measured("part", fails)] == [False]
    assert "error: part: no disk" in capsys.readouterr().err
    assert attempt("part", lambda: math.pi) == math.pi
