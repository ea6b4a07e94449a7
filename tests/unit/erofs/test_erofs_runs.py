"""Packing items into blocks and copying runs: the arithmetic under the metadata writer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.erofs import runs
from snapshotter.erofs.plan import place_items
from snapshotter.layers.records import BLOCK


@given(
    st.lists(st.integers(1, 200).map(lambda slots: slots * 32), max_size=300),
    st.integers(0, 150).map(lambda slots: slots * 32),
)
def test_items_keep_their_order_and_cross_a_block_only_when_larger_than_one(sizes, start):
    at, end = place_items(np.array(sizes, dtype=np.int64), start)
    before = start
    for offset, size in zip(at.tolist(), sizes, strict=True):
        assert offset >= before
        assert offset % 32 == 0
        if size > BLOCK:
            assert offset % BLOCK == 0
        else:
            assert offset // BLOCK == (offset + size - 1) // BLOCK
        before = offset + size
    assert end == before


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 10)), max_size=40),
    st.sampled_from([1, 7, 1 << 20]),
)
def test_copying_runs_equals_copying_one_by_one(pairs, piece):
    source = np.arange(100, dtype=np.uint8)
    starts = np.array([start for start, _ in pairs], dtype=np.int64)
    lengths = np.array([length for _, length in pairs], dtype=np.int64)
    to = runs.starts_of(lengths + 1)[:-1]
    target = np.zeros(int((lengths + 1).sum()), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_PIECE", piece)
        runs.copy_runs(target, to, source, starts, lengths)
    expected = b"".join(source[a : a + n].tobytes() + b"\0" for a, n in pairs)
    assert target.tobytes() == expected
