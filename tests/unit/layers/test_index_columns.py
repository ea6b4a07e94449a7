"""Columns and gaps: what goes in comes out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.layers.columns import Column, pack, size_of, unpack, unzigzag, zigzag
from snapshotter.layers.index_layout import gaps, sum_gaps

numbers = st.lists(st.integers(0, 2**64 - 1), max_size=50).map(
    lambda values: np.array(values, dtype=np.uint64)
)


@given(numbers)
def test_zigzag_undoes_itself(values):
    assert np.array_equal(unzigzag(zigzag(values)), values)


def test_zigzag_makes_small_differences_small():
    values = np.array([0, -1, 1, -2, 2], dtype=np.int64).view(np.uint64)
    assert zigzag(values).tolist() == [0, 1, 2, 3, 4]


@given(numbers)
def test_columns_undo_themselves(values):
    columns = (Column("a", "u8"), Column("b", "u8", delta=True), Column("c", "u2"))
    table = {"a": values, "b": values, "c": values.astype(np.uint16)}
    packed = pack(columns, table)
    assert len(packed) == size_of(columns, len(values))
    found = unpack(columns, np.frombuffer(packed, dtype=np.uint8), len(values))
    for name, column in table.items():
        assert np.array_equal(found[name], column)


def test_byte_planes_put_low_bytes_first():
    values = np.array([0x0102, 0x0304], dtype=np.uint16)
    assert pack((Column("a", "u2"),), {"a": values}) == bytes([2, 4, 1, 3])


@given(numbers, st.data(), st.sampled_from([512, 4096]))
def test_gaps_undo_themselves(start, data, block):
    sizes = st.lists(st.integers(0, 2**64 - 1), min_size=len(start), max_size=len(start))
    length = np.array(data.draw(sizes), dtype=np.uint64)
    assert np.array_equal(sum_gaps(gaps(start, length, block), length, block), start)


def test_files_one_behind_the_other_have_no_gaps():
    start = np.array([0, 4096, 12288], dtype=np.uint64)
    length = np.array([1, 4097, 5], dtype=np.uint64)
    assert gaps(start, length, 4096).tolist() == [0, 0, 0]
