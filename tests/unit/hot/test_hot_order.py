"""The order in which chunks are fetched for a start."""

import numpy as np
from hot_strategies import LAYERS, rows
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.hot.order import ChunkEdges, FetchRules, FetchRun, fetch_order
from snapshotter.hot.ranges import make_ranges
from snapshotter.layers.records import BLOCK


def edges(data: list[int], blob: list[int] | None = None) -> ChunkEdges:
    offsets = np.array(data, dtype=np.uint64)
    return ChunkEdges(offsets, offsets if blob is None else np.array(blob, dtype=np.uint64))


@st.composite
def tables(draw) -> dict[int, ChunkEdges]:
    found = {}
    for row, one in enumerate(LAYERS):
        cuts = draw(st.lists(st.integers(0, one.data_size), max_size=12))
        data = sorted([0, *cuts, one.data_size])
        sizes = draw(st.lists(st.integers(0, 9), min_size=len(data) - 1, max_size=len(data) - 1))
        if draw(st.booleans()) or row == 0:
            found[row] = edges(data, [0, *np.cumsum(sizes).tolist()])
    return found


def needed(drawn, chunks) -> list[tuple[int, int]]:
    """(layer, chunk) of every chunk with bytes of a hot block, in the order of first need."""
    found = {}
    for layer, first, count in drawn:
        if layer not in chunks:
            continue
        data = chunks[layer].data.tolist()
        for chunk in range(len(data) - 1):
            start, end = (
                max(data[chunk], first * BLOCK),
                min(data[chunk + 1], (first + count) * BLOCK),
            )
            if start < end:
                found[layer, chunk] = None
    return list(found)


@given(rows(), tables(), st.integers(1, 40), st.integers(1, 40))
def test_every_chunk_that_is_needed_is_fetched_once(drawn, chunks, batch, run):
    runs = fetch_order(make_ranges(drawn), chunks, FetchRules(batch, run))
    fetched = [(one.layer, chunk) for one in runs for chunk in range(one.low, one.high)]
    assert len(fetched) == len(set(fetched))
    wanted = needed(drawn, chunks)
    assert set(wanted) <= set(fetched)
    # Chunks without data of their own lie between those that have some.
    for layer, chunk in set(fetched) - set(wanted):
        assert chunks[layer].data[chunk] == chunks[layer].data[chunk + 1]
    for one in runs:
        size = chunks[one.layer].blob[one.high] - chunks[one.layer].blob[one.low]
        assert one.high == one.low + 1 or size <= run


def test_chunks_come_in_the_order_of_first_touch_when_batches_are_small():
    chunks = {0: edges([n * BLOCK for n in range(11)]), 2: edges([n * BLOCK for n in range(11)])}
    drawn = [(0, 5, 1), (2, 3, 2), (0, 1, 1), (0, 6, 1)]
    order = [FetchRun(0, 5, 6), FetchRun(2, 3, 4), FetchRun(2, 4, 5), FetchRun(0, 1, 2)]
    assert fetch_order(make_ranges(drawn), chunks, FetchRules(1, 1 << 20)) == [
        *order,
        FetchRun(0, 6, 7),
    ]


def test_neighbours_in_a_batch_become_one_run_up_to_its_size():
    chunks = {0: edges([n * BLOCK for n in range(11)])}
    drawn = make_ranges([(0, 5, 1), (0, 1, 1), (0, 6, 3), (0, 0, 1)])
    assert fetch_order(drawn, chunks) == [FetchRun(0, 5, 9), FetchRun(0, 0, 2)]
    assert fetch_order(drawn, chunks, FetchRules(1 << 20, 2 * BLOCK)) == [
        FetchRun(0, 5, 7),
        FetchRun(0, 0, 2),
        FetchRun(0, 7, 9),
    ]


def test_a_block_across_two_chunks_needs_both():
    chunks = {0: edges([0, BLOCK + 5, 3 * BLOCK])}
    assert fetch_order(make_ranges([(0, 1, 1)]), chunks) == [FetchRun(0, 0, 2)]


def test_nothing_hot_is_nothing_to_fetch():
    assert fetch_order(make_ranges([]), {0: edges([0, BLOCK])}) == []
