from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.chunks.ahead import Ahead

KIB = 1 << 10
MIB = 1 << 20


def test_a_lone_read_guesses_nothing() -> None:
    ahead = Ahead(least=256 * KIB, most=8 * MIB)
    assert ahead.touch(5 * MIB, 128 * KIB) == 0
    assert ahead.touch(20 * MIB, 128 * KIB) == 0


def test_a_run_is_fetched_ahead_by_as_much_as_it_has_read() -> None:
    ahead = Ahead(least=256 * KIB, most=MIB)
    got = [ahead.touch(at * 128 * KIB, 128 * KIB) // KIB for at in range(10)]
    assert got == [0, 256, 384, 512, 640, 768, 896, 1024, 1024, 1024]


def test_who_reads_in_order_is_told_from_who_jumps() -> None:
    ahead = Ahead(least=256 * KIB, most=MIB)
    for at in range(2):
        ahead.touch(at * 128 * KIB, 128 * KIB)
    ahead.touch(9 * MIB, 4 * KIB)
    assert ahead.is_run(256 * KIB)
    assert not ahead.is_run(128 * KIB)
    assert not ahead.is_run(9 * MIB + 4 * KIB)


def test_jumps_from_chunk_to_chunk_are_no_run() -> None:
    ahead = Ahead(least=256 * KIB, most=MIB)
    assert [ahead.touch(at * 300 * KIB, 100 * KIB) for at in range(20)] == [0] * 20


def test_small_gaps_do_not_end_a_run() -> None:
    ahead = Ahead(least=256 * KIB, most=MIB)
    got = [ahead.touch(at * 160 * KIB, 128 * KIB) for at in range(4)]
    assert got[-1] > 0


def test_interleaved_runs_are_told_apart() -> None:
    ahead = Ahead(least=256 * KIB, most=8 * MIB)
    got = [
        ahead.touch(start + step * 128 * KIB, 128 * KIB) // KIB
        for step in range(3)
        for start in (0, 50 * MIB)
    ]
    assert got == [0, 0, 256, 256, 384, 384]


@given(st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(1, MIB))))
def test_windows_never_exceed_the_most_nor_what_was_read(reads: list[tuple[int, int]]) -> None:
    ahead = Ahead(least=1, most=MIB)
    read = 0
    for offset, length in reads:
        read += length
        assert 0 <= ahead.touch(offset, length) <= min(MIB, read)


def test_small_reads_are_not_told_each_time_what_is_worth_having() -> None:
    ahead = Ahead(least=256 * KIB, most=8 * MIB)
    page = 4 * KIB
    told = [at * page for at in range(16 * MIB // page) if ahead.touch(at * page, page)]
    assert told[0] == 256 * KIB - page
    assert all(later - earlier <= MIB for earlier, later in pairwise(told))
    assert len(told) < 60
