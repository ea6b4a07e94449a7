"""How far to read ahead of who reads a file in order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse_hdfs.files.ahead import Ahead

MIB = 1 << 20


def test_reads_in_order_open_the_window_and_a_jump_opens_nothing() -> None:
    ahead = Ahead(10, 100)
    windows = [ahead.after(start, 10).window for start in range(0, 60, 10)]
    assert windows == [0, 10, 20, 40, 80, 100]
    assert ahead.after(1000, 10).window == 0
    assert ahead.after(1010, 10).window == 10


def test_a_reader_who_looks_elsewhere_goes_on_where_he_was() -> None:
    ahead = Ahead(8 * MIB, 64 * MIB)
    for start in range(20):
        ahead.after(start * MIB, MIB)
    ahead.after(900 * MIB, 4096)
    assert ahead.after(20 * MIB, MIB).window == 64 * MIB


def test_a_run_has_no_window_before_it_is_as_long_as_patience_wants() -> None:
    ahead = Ahead(10, 100)
    windows = [ahead.after(start, 10, 30).window for start in range(0, 60, 10)]
    assert windows == [0, 0, 0, 10, 20, 40]


@given(order=st.permutations(range(6)))
def test_requests_of_one_reader_may_come_in_any_order(order: list[int]) -> None:
    ahead = Ahead(8 * MIB, 64 * MIB)
    for start in range(12):
        run = ahead.after(start * MIB, MIB)
    assert all(ahead.after((12 + start) * MIB, MIB) is run for start in order)
    assert run.end == 18 * MIB


@pytest.mark.parametrize("threads", [2, 8, 16])
def test_each_of_many_readers_has_a_window_and_all_together_have_what_one_would(
    threads: int,
) -> None:
    ahead = Ahead(2 * MIB, 64 * MIB)
    part = 64
    for step in range(part):
        runs = [ahead.after((thread * part + step) * MIB, MIB) for thread in range(threads)]
    assert len({id(run) for run in runs}) == threads
    assert {run.window for run in runs} == {64 * MIB // threads}


def test_of_readers_who_come_to_their_end_the_last_one_has_it_all() -> None:
    ahead = Ahead(2 * MIB, 64 * MIB)
    for step in range(32):
        for thread in range(8):
            ahead.after((thread * 1000 + step) * MIB, MIB)
    for step in range(32, 200):
        run = ahead.after(step * MIB, MIB)
    assert run.window == 64 * MIB


def test_reads_anywhere_hardly_ever_open_anything() -> None:
    ahead, places = Ahead(8 * MIB, 64 * MIB), random.Random(5)
    windows = [ahead.after(places.randrange(4096) * MIB, 128 << 10).window for _ in range(2000)]
    assert sum(map(bool, windows)) < 100


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 100))))
def test_the_window_never_exceeds_its_bound(reads: list[tuple[int, int]]) -> None:
    ahead = Ahead(10, 100)
    assert all(0 <= ahead.after(offset, length).window <= 100 for offset, length in reads)
