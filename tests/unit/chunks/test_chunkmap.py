from hypothesis import given
from hypothesis import strategies as st
from world import SKIP, block_map

from snapshotter.chunks.chunkmap import ChunkMap

sizes_lists = st.lists(st.integers(0, 50), min_size=1, max_size=20)


@given(sizes_lists, st.integers(0, 400), st.integers(0, 400))
def test_a_read_needs_exactly_the_chunks_that_hold_its_bytes(
    sizes: list[int], offset: int, length: int
) -> None:
    chunks = ChunkMap(block_map(sizes)[0])
    low, high = chunks.covering(offset, length)
    end = min(offset + length, chunks.size)
    touched = [
        i
        for i in range(len(chunks))
        if max(chunks.data(i)[0], offset) < min(chunks.data(i)[1], end)
    ]
    if touched:
        assert low <= touched[0]
        assert high == touched[-1] + 1
        assert set(range(low, high)) >= set(touched)
        assert chunks.data(low)[1] > offset
    else:
        assert low == high


@given(sizes_lists, st.integers(1, 300))
def test_runs_tile_the_range_and_keep_to_the_limit(sizes: list[int], limit: int) -> None:
    chunks = ChunkMap(block_map(sizes)[0])
    runs = list(chunks.runs(0, len(chunks), limit))
    assert [c for low, high in runs for c in range(low, high)] == list(range(len(chunks)))
    for low, high in runs:
        assert high - low == 1 or sum(sizes[low:high]) + SKIP * (high - low) <= limit


@given(sizes_lists, st.integers(1, 300))
def test_batches_tile_the_range_and_are_small_enough_and_enough_for_two(
    sizes: list[int], limit: int
) -> None:
    chunks = ChunkMap(block_map(sizes)[0])
    for low in range(len(sizes) + 1):
        batches = list(chunks.batches(low, len(sizes), limit))
        assert [c for first, end in batches for c in range(first, end)] == [*range(low, len(sizes))]
        assert len(batches) >= min(2, len(sizes) - low)
        for first, end in batches:
            assert end - first == 1 or sum(sizes[first:end]) <= limit


@given(sizes_lists, st.integers(0, 19), st.integers(0, 500))
def test_reach_stays_within_the_budget_but_for_a_first_chunk(
    sizes: list[int], low: int, budget: int
) -> None:
    chunks = ChunkMap(block_map(sizes)[0])
    low = low % len(sizes)
    high = chunks.reach(low, budget)
    assert low < high <= len(chunks)
    assert high == low + 1 or chunks.blob_start(high) - chunks.blob_start(low) <= budget


def test_where_chunks_share_bytes_a_range_includes_one_of_the_next_but_stays_inside_the_blob() -> (
    None
):
    made, _, blob = block_map([10, 20])
    made.chunks.bits[1] = 3
    chunks = ChunkMap(made)
    assert chunks.blob(0, 1) == (0, 10 + SKIP + 1)
    assert chunks.blob(1, 2) == (10 + SKIP, len(blob))
    assert chunks.own_blob(1, 2) == (10 + SKIP + 1, len(blob))


def test_where_no_chunks_share_bytes_a_range_ends_with_its_last_one() -> None:
    made, _, blob = block_map([10, 20])
    chunks = ChunkMap(made)
    assert chunks.blob(0, 1) == chunks.own_blob(0, 1) == (0, 10 + SKIP)
    assert chunks.blob(1, 2) == chunks.own_blob(1, 2) == (10 + SKIP, len(blob))
