"""The tree of a dependency snapshot -> what a block image of it is made of. Pure.

A snapshot is served like a layer whose blob is all its packs, one behind the other: a chunk is a
zstd frame, the "tar" is what the frames hold, and the data area has each file on a 4 KiB boundary
in the order of the packs. What a layer index cannot say are the times in compiled Python, which
packs do not hold (`Stamps`), and that a chunk's digest is that of the frame as it is stored.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

from bootseer.errors import CorruptError
from depsnap.tree.entries import Entry, Kind, Tree, stored_sizes
from depsnap.tree.placement import Placed, frame_of_each
from snapshotter.dependencies.layer_tree import layer_tree
from snapshotter.layers.records import (
    BLOCK,
    I64,
    U32,
    U64,
    ChunkTable,
    Codec,
    Extents,
    LayerIndex,
)

_STAMP_AT: Final = 8
"""Where in compiled Python the time of its source is (PEP 552)."""
_HINT: Final = "it can be unpacked"


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """Four bytes each that are not in the packs."""

    offset: I64
    """Where in the data area, increasing."""
    value: U32


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A block image of a snapshot."""

    index: LayerIndex
    """The digest of a chunk is that of its compressed bytes."""
    stamps: Stamps


def image_of(tree: Tree, digest: str) -> Image:
    """Return the image of a tree that was checked; `digest`: `sha256:...`, that it is known by.

    Its index is not checked yet (`layers.format.encode` does that): times before 1970 or large
    holes cannot be expressed in one.

    Raises:
        CorruptError: files that share contents and differ, or no contents at all.
    """
    frames = frame_of_each(tree)
    if not frames:
        raise CorruptError("the snapshot has no contents", hint=_HINT)
    area = _laid_out(tree, frames)
    chunks = _chunks(tree, frames, area)
    index = LayerIndex(
        layer_digest=digest,
        layer_size=int(chunks.blob[-1]),
        diff_id=digest,
        merkle_root=bytes.fromhex(tree.root) or bytes(32),
        windows_digest="",
        tree=layer_tree(tree.entries, area.place),
        extents=_extents(tree, area),
        chunks=chunks,
    )
    return Image(index, _stamps(tree, area))


@dataclass(frozen=True, slots=True, eq=False)
class _Area:
    """Where files lie in the data area."""

    rows: I64
    """Entries with contents in the packs, in their order; of those that share a pack the first."""
    tar: I64
    """Where each of these begins in what the frames hold; one value more for the end."""
    place: U64
    """Where the contents of every entry begin in the data area; 0 where there are none."""
    size: int
    """Bytes of the data area."""


def _laid_out(tree: Tree, frames: Sequence[Placed]) -> _Area:
    """Lay out the files: those of each pack, pack by pack, then those that are nothing but a hole.

    Raises:
        CorruptError: files that share contents and differ.
    """
    entries = tree.entries
    order: list[int] = []
    shared: list[tuple[int, int]] = []
    for placed in frames:
        if not tree.packs[placed.pack].single:
            order += placed.files
        elif placed.frame == 0:
            order.append(placed.files[0])
            shared += [(row, placed.files[0]) for row in placed.files[1:]]
    packed = len(order)
    order += [
        row
        for row, entry in enumerate(entries)
        if entry.pack < 0 and entry.size and entry.kind is Kind.FILE
    ]
    rows = np.array(order, dtype=np.int64)
    sizes = np.array([entry.size for entry in entries], dtype=np.int64)[rows]
    starts = _sums(-(-sizes // BLOCK) * BLOCK)
    place = np.zeros(len(entries), dtype=np.uint64)
    place[rows] = starts[:-1]
    for row, other in shared:
        one, first = entries[row], entries[other]
        if (one.extents, one.stamp) != (first.extents, first.stamp):
            raise CorruptError(
                f"/{first.path} and /{one.path} share contents and differ", hint=_HINT
            )
        place[row] = place[other]
    tar = _sums(np.array(stored_sizes(entries), dtype=np.int64)[rows[:packed]])
    return _Area(rows[:packed], tar, place, int(starts[-1]))


def _sums(values: I64) -> I64:
    """Return the sum of the values before each, and of all."""
    found = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=found[1:])
    return found


def _extents(tree: Tree, area: _Area) -> Extents:
    """Return where contents lie."""
    table = np.stack(
        [area.place[area.rows].astype(np.int64), area.tar[:-1], np.diff(area.tar)], axis=1
    )
    sparse = [at for at, row in enumerate(area.rows.tolist()) if tree.entries[row].extents]
    pieces: list[tuple[int, int, int]] = []
    for at in sparse:
        start, position, _ = table[at].tolist()
        for offset, length in tree.entries[area.rows[at]].extents or ():
            pieces.append((start + offset, position, length))
            position += length
    if pieces:
        table = np.concatenate([np.delete(table, sparse, axis=0), np.array(pieces)])
        table = table[np.argsort(table[:, 0], kind="stable")]
    return Extents(*(np.ascontiguousarray(column) for column in table.T.astype(np.uint64)))


def _chunks(tree: Tree, frames: Sequence[Placed], area: _Area) -> ChunkTable:
    """Return the frames as chunks."""
    tables = [tree.packs[placed.pack].frames[placed.frame] for placed in frames]
    place = area.place.tolist()
    data = [place[placed.files[0]] for placed in frames]
    for number, placed in enumerate(frames):
        if placed.frame and tree.packs[placed.pack].single:
            data[number] += _offset(tree.entries[placed.files[0]], placed.start)
    count = len(frames)
    return ChunkTable(
        blob=_sums(np.array([frame.stored for frame in tables], dtype=np.int64)).astype(np.uint64),
        tar=_sums(np.array([frame.raw for frame in tables], dtype=np.int64)).astype(np.uint64),
        data=np.array([*data, area.size], dtype=np.uint64),
        digest=np.frombuffer(
            bytes.fromhex("".join(frame.digest for frame in tables)), dtype=np.uint8
        ).reshape(-1, 32),
        codec=np.full(count, Codec.ZSTD, dtype=np.uint8),
        skip=np.zeros(count, dtype=np.uint32),
        bits=np.zeros(count, dtype=np.uint8),
        window=np.zeros(count + 1, dtype=np.uint64),
    )


def _stamps(tree: Tree, area: _Area) -> Stamps:
    """Return what the packs do not hold."""
    value = np.array([entry.stamp for entry in tree.entries], dtype=np.int64)[area.rows]
    stamped = value >= 0
    offset = area.place[area.rows[stamped]].astype(np.int64) + _STAMP_AT
    return Stamps(offset, value[stamped].astype(np.uint32))


def _offset(entry: Entry, stored: int) -> int:
    """Return where in a file the byte is that has `stored` bytes of contents in front of it."""
    if entry.extents is None:
        return stored
    before = [0, *accumulate(length for _, length in entry.extents)]
    row = bisect_right(before, stored) - 1
    return entry.extents[row][0] + stored - before[row]


def pack_sizes(tree: Tree) -> Sequence[tuple[str, int]]:
    """Return digest and bytes of each pack, in the order of the image's blob."""
    return [(pack.digest, pack.stored) for pack in tree.packs]
