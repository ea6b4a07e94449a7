"""Totals of counters whose owners come and go."""

from snapshotter.chunks.fetching import Counters, Purpose
from snapshotter.tally import Tally


def counters(fetches: int, filled: int) -> Counters:
    made = Counters(fetches=fetches)
    made.fetched[Purpose.FILL] = filled
    return made


def test_a_total_does_not_go_down_when_an_owner_goes() -> None:
    tally = Tally(Counters)
    first, second = tally.join(counters(1, 10)), tally.join(counters(2, 20))
    first.fetches += 5
    assert (tally.total().fetches, tally.total().fetched[Purpose.FILL]) == (8, 30)
    tally.leave(first)
    assert (tally.total().fetches, tally.total().fetched[Purpose.FILL]) == (8, 30)
    second.fetched[Purpose.FILL] += 1
    assert tally.total().fetched[Purpose.FILL] == 31


def test_owners_with_equal_counts_are_told_apart() -> None:
    tally = Tally(Counters)
    first, second = tally.join(Counters()), tally.join(Counters())
    tally.leave(first)
    second.reads += 1
    assert tally.total().reads == 1


def test_a_total_is_a_copy() -> None:
    tally = Tally(Counters)
    tally.join(counters(1, 1))
    tally.total().fetched[Purpose.FILL] = 99
    assert tally.total().fetched[Purpose.FILL] == 1
