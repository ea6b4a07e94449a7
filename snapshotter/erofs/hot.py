"""The hot layout: files whose blocks lie in two devices, those of a start-up one behind the other.

A file with a hot block becomes a chunk-based inode: a table of 8-byte entries behind the inode, one
for each 4 KiB of the file, says on which device and block that piece lies. Hot blocks are taken
from the hot area, in which they lie in the order of their first touch; all others stay where they
are in the data area. Files without a hot block are not changed, and neither is what a file reads
as: a hot area is a copy of blocks, not another layer.

A table has an entry for every block of its file, hot or not. A few touched blocks of a huge file
are not worth a huge table: such a file stays as it is, and its hot blocks are read from the data
area.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bootseer.errors import CorruptError
from snapshotter import limits as bounds
from snapshotter.erofs import format as erofs
from snapshotter.erofs.runs import starts_of
from snapshotter.layers.records import BLOCK, I64, U8, Inodes

DATA_DEVICE: Final = 1
HOT_DEVICE: Final = 2
"""Numbers of the extra devices, in the order of the device table."""
_SMALL_TABLE: Final = (1 << 20) // erofs.CHUNK_INDEX.itemsize
"""Entries of a table that is always worth it: that of a file of 512 MiB."""
_MOST_ENTRIES: Final = bounds.DEFAULT.hot_tables // erofs.CHUNK_INDEX.itemsize
_HINT: Final = "the record does not fit this index: record the start again"


@dataclass(frozen=True, slots=True, eq=False)
class HotLayout:
    """What the hot area of a layer holds."""

    blocks: I64
    """Block i of the hot area is block `blocks[i]` of the data area. No block twice."""

    def check(self, data_blocks: int) -> None:
        """Raise `CorruptError` unless every block is in the data area, once."""
        outside = (self.blocks < 0) | (self.blocks >= data_blocks)
        if outside.any():
            row = int(np.argmax(outside))
            raise CorruptError(
                f"hot block {row} is block {int(self.blocks[row])} of a data area"
                f" of {data_blocks} blocks",
                hint=_HINT,
            )
        ordered = np.sort(self.blocks)
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(twice):
            raise CorruptError(f"block {int(ordered[twice[0]])} is hot twice", hint=_HINT)


@dataclass(frozen=True, slots=True, eq=False)
class ChunkPlan:
    """The chunk tables of a layer, one file after the other."""

    files: I64
    """Numbers of the inodes that are chunk-based, increasing."""
    start: I64
    """First row of each file's table in `device` and `block`; one value more at the end."""
    device: U8
    """Device on which a chunk lies."""
    block: I64
    """Its block on that device."""


def no_chunks() -> ChunkPlan:
    """Return the plan of a layer in its natural layout."""
    nothing = np.zeros(0, dtype=np.int64)
    return ChunkPlan(nothing, np.zeros(1, dtype=np.int64), nothing.astype(np.uint8), nothing)


def plan_chunks(inodes: Inodes, full: npt.NDArray[np.bool_], hot: HotLayout) -> ChunkPlan:
    """Say where every block of the files with hot blocks lies.

    `full` marks the regular files that are not empty; they are inside the data area.
    """
    owner, within = _owners(inodes, full, hot.blocks)
    files = _worth_a_table(inodes, owner[owner >= 0])
    first = (inodes.data[files] // BLOCK).astype(np.int64)
    start = starts_of(_blocks(inodes, files))
    count = np.diff(start)
    block = np.arange(int(start[-1]), dtype=np.int64) + np.repeat(first - start[:-1], count)
    device = np.full(len(block), DATA_DEVICE, dtype=np.uint8)
    placed = np.flatnonzero(np.isin(owner, files))
    rows = start[np.searchsorted(files, owner[placed])] + within[placed]
    device[rows] = HOT_DEVICE
    block[rows] = placed
    return ChunkPlan(files, start, device, block)


def _blocks(inodes: Inodes, files: I64) -> I64:
    """Return how many blocks each of these files has."""
    return -(-inodes.size[files].astype(np.int64) // BLOCK)


def _worth_a_table(inodes: Inodes, owners: I64) -> I64:
    """Return the files that get a chunk table, of those that own hot blocks (one value a block).

    A large table must not take more room than the hot blocks that it places. All tables together
    are within the limits: those with the fewest entries for each hot block come first.
    """
    files, hot = np.unique(owners, return_counts=True)
    entries = _blocks(inodes, files)
    worth = (entries <= _SMALL_TABLE) | (entries * erofs.CHUNK_INDEX.itemsize <= hot * BLOCK)
    order = np.argsort(entries / hot, kind="stable")
    order = order[worth[order]]
    return np.sort(files[order[np.cumsum(entries[order]) <= _MOST_ENTRIES]])


def _owners(inodes: Inodes, full: npt.NDArray[np.bool_], blocks: I64) -> tuple[I64, I64]:
    """Return the inode of the file that each block belongs to (-1: none), and its rank in it.

    Files should not share blocks. Where an index says so nevertheless, one of them gets the block
    from the hot area and the others from the data area: they read the same.
    """
    files = np.flatnonzero(full)
    if not len(files):
        return np.full(len(blocks), -1, dtype=np.int64), np.zeros_like(blocks)
    files = files[np.argsort(inodes.data[files], kind="stable")]
    first = (inodes.data[files] // BLOCK).astype(np.int64)
    last = first + (inodes.size[files].astype(np.int64) - 1) // BLOCK
    row = np.searchsorted(first, blocks, side="right") - 1
    inside = (row >= 0) & (blocks <= last[row])
    return np.where(inside, files[row], -1), blocks - first[row]


def chunk_entries(chunks: ChunkPlan) -> U8:
    """Return the tables as they lie on disk, one file after the other."""
    entries = np.zeros(len(chunks.block), dtype=erofs.CHUNK_INDEX)
    entries["device_id"] = chunks.device
    entries["startblk_lo"] = chunks.block
    return entries.view(np.uint8)
