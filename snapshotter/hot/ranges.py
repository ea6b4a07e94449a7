"""Ranges of 4 KiB blocks of several layers' data areas, in an order that matters. Arithmetic only.

Columns (numpy arrays) because a record has 10^3 to 10^6 ranges and is looked at as a whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snapshotter.layers.records import I64

_BITS = 32
"""A block of a data area has a number of at most 31 bits, so layer and block make one key."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """One row a range of consecutive blocks of one layer; rows are in the order of touch."""

    layer: I64
    """Row of the layer in the table that goes with these ranges."""
    first: I64
    """First block."""
    count: I64
    """Blocks, at least 1."""

    @property
    def blocks(self) -> int:
        """Blocks in all ranges."""
        return int(self.count.sum())

    def take(self, rows: npt.NDArray[np.bool_] | I64) -> "Ranges":
        """Return some of the rows."""
        return Ranges(self.layer[rows], self.first[rows], self.count[rows])


def spans(ranges: Ranges, layer: int, gap: int = 0) -> list[tuple[int, int]]:
    """Return where the blocks of one layer lie, in the order of the layer.

    As `(first, end)`; with `gap`, over up to so many blocks between them.
    """
    mine = ranges.layer == layer
    order = np.argsort(ranges.first[mine], kind="stable")
    first = ranges.first[mine][order]
    end = np.maximum.accumulate((ranges.first + ranges.count)[mine][order])
    if not len(first):
        return []
    cuts = np.flatnonzero(first[1:] > end[:-1] + gap)
    starts, ends = first[np.append(0, cuts + 1)], end[np.append(cuts, len(end) - 1)]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Ranges cut into single blocks: one row a block, in the same order."""

    layer: I64
    block: I64

    @property
    def key(self) -> I64:
        """Layer and block as one number."""
        return self.layer << _BITS | self.block


def make_ranges(rows: list[tuple[int, int, int]]) -> Ranges:
    """Return ranges from (layer, first block, count) rows."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Ranges(table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy())


def expand(ranges: Ranges) -> Blocks:
    """Cut ranges into blocks. The caller has bounded their number."""
    end = np.cumsum(ranges.count)
    start = end - ranges.count
    step = np.arange(int(end[-1]) if len(end) else 0, dtype=np.int64)
    block = step + np.repeat(ranges.first - start, ranges.count)
    return Blocks(np.repeat(ranges.layer, ranges.count), block)


def from_keys(keys: I64) -> Blocks:
    """Undo `Blocks.key`."""
    return Blocks(keys >> _BITS, keys & ((1 << _BITS) - 1))


def collapse(blocks: Blocks, *alike: I64) -> tuple[Ranges, I64]:
    """Join neighbouring rows of consecutive blocks: (ranges, row of each range's first block).

    Rows are joined only where each column of `alike` has the same value.
    """
    joins = (np.diff(blocks.layer) == 0) & (np.diff(blocks.block) == 1)
    for column in alike:
        joins &= np.diff(column) == 0
    starts = np.flatnonzero(np.append(True, ~joins)[: len(blocks.block)])
    count = np.diff(np.append(starts, len(blocks.block)))
    return Ranges(blocks.layer[starts], blocks.block[starts], count), starts


def overlapping(ranges: Ranges) -> npt.NDArray[np.bool_]:
    """Mark the rows that share a block with another row."""
    order = np.lexsort((ranges.first, ranges.layer))
    layer, first = ranges.layer[order], ranges.first[order]
    past = first + ranges.count[order]
    marked = np.zeros(len(order), dtype=np.bool_)
    clash = (layer[1:] == layer[:-1]) & (first[1:] < past[:-1])
    marked[order[1:][clash]] = True
    return marked


def check_ranges(
    ranges: Ranges,
    layer_blocks: I64,
    most_blocks: int,
    refuse: Callable[[npt.NDArray[np.bool_], str, str], None],
) -> None:
    """Check that ranges are in their layers, no block is in two, and there are not too many.

    `layer_blocks` has the blocks of each layer's data area. `refuse(bad rows, field, what)` raises
    if any row is bad.
    """
    refuse(ranges.layer >= len(layer_blocks), "layer", "is no layer")
    refuse(ranges.count < 1, "count", "is 0")
    room = layer_blocks[ranges.layer]
    past = (ranges.first > room) | (ranges.count > room - ranges.first)
    refuse(past, "first", "is past the data area of its layer")
    refuse(np.cumsum(ranges.count) > most_blocks, "count", f"makes more than {most_blocks} blocks")
    refuse(overlapping(ranges), "first", "is in another range as well")
