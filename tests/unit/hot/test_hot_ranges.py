"""Arithmetic on ranges of blocks."""

from itertools import pairwise

import numpy as np
from hot_strategies import LAYERS, rows
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.hot.ranges import collapse, expand, from_keys, make_ranges, overlapping, spans


def singles(drawn: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    return [(layer, first + step) for layer, first, count in drawn for step in range(count)]


@given(rows())
def test_expanding_lists_every_block_in_order(drawn):
    blocks = expand(make_ranges(drawn))
    assert list(zip(blocks.layer.tolist(), blocks.block.tolist(), strict=True)) == singles(drawn)


@given(rows())
def test_collapsing_keeps_the_order_of_blocks_and_needs_no_more_ranges(drawn):
    blocks = expand(make_ranges(drawn))
    ranges, starts = collapse(blocks)
    assert len(ranges.layer) <= len(drawn)
    assert expand(ranges).key.tolist() == blocks.key.tolist()
    assert ranges.first.tolist() == blocks.block[starts].tolist()


@given(rows())
def test_keys_are_layer_and_block(drawn):
    blocks = expand(make_ranges(drawn))
    back = from_keys(blocks.key)
    assert (back.layer.tolist(), back.block.tolist()) == (
        blocks.layer.tolist(),
        blocks.block.tolist(),
    )


def test_collapsing_keeps_apart_what_differs_in_a_column():
    blocks = expand(make_ranges([(0, 0, 4)]))
    ranges, starts = collapse(blocks, np.array([1, 1, 2, 2]))
    assert ranges.count.tolist() == [2, 2]
    assert starts.tolist() == [0, 2]


@given(
    st.lists(
        st.tuples(st.integers(0, len(LAYERS)), st.integers(0, 30), st.integers(1, 5)), max_size=12
    )
)
def test_overlaps_are_found_exactly_when_a_block_is_in_two_ranges(drawn):
    blocks = singles(drawn)
    assert overlapping(make_ranges(drawn)).any() == (len(set(blocks)) < len(blocks))


@given(rows(), st.integers(0, 4))
def test_spans_cover_a_layer_s_blocks_in_order_over_gaps_that_are_small_enough(drawn, gap):
    ranges = make_ranges(drawn)
    for layer in range(len(LAYERS)):
        mine = {block for row, block in singles(drawn) if row == layer}
        found = spans(ranges, layer, gap)
        covered = [block for first, end in found for block in range(first, end)]
        assert mine <= set(covered)
        assert {first for first, _ in found} | {end - 1 for _, end in found} <= mine
        between = sorted(set(covered) - mine)
        assert all({*range(block - gap, block + gap + 1)} & mine for block in between)
        assert all(after[0] - end > gap for (_, end), after in pairwise(found))
