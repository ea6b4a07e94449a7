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
from typing import Any, Final

import numpy as np

from bootseer.errors import CorruptError
from depsnap.packing.stamps import OFFSET
from depsnap.tree.entries import Frame, Kind
from depsnap.tree.placement import Placed, frame_of_each
from depsnap.tree.table import Table
from snapshotter.dependencies.layer_tree import layer_tree
from snapshotter.erofs.runs import starts_of
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


def image_of(table: Table, digest: str) -> Image:
    """Return the image of a tree that was checked; `digest`: `sha256:...`, that it is known by.

    Its index is not checked yet (`layers.format.encode` does that): times before 1970 or large
    holes cannot be expressed in one.

    Raises:
        CorruptError: files that share contents and differ, or no contents at all.
    """
    stored = table.stored()
    frames = frame_of_each(table.packs, table.packed, stored)
    if not frames:
        raise CorruptError("the snapshot has no contents", hint=_HINT)
    area = _laid_out(table, frames, stored)
    chunks = _chunks(table, frames, area)
    index = LayerIndex(
        layer_digest=digest,
        layer_size=int(chunks.blob[-1]),
        diff_id=digest,
        merkle_root=bytes.fromhex(table.root) or bytes(32),
        windows_digest="",
        tree=layer_tree(table, area.place),
        extents=_extents(table, area),
        chunks=chunks,
    )
    return Image(index, _stamps(table, area))


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


def _laid_out(table: Table, frames: Sequence[Placed], stored: Sequence[int]) -> _Area:
    """Lay out the files: those of each pack, pack by pack, then those that are nothing but a hole.

    Raises:
        CorruptError: files that share contents and differ.
    """
    order: list[int] = []
    shared: list[tuple[int, int]] = []
    for placed in frames:
        if not table.packs[placed.pack].single:
            order += placed.files
        elif placed.frame == 0:
            order.append(placed.files[0])
            shared += [(row, placed.files[0]) for row in placed.files[1:]]
    packed = len(order)
    order += [
        row
        for row, extents in sorted(table.extents.items())
        if not extents and table.sizes[row] and table.kinds[row] == Kind.FILE
    ]
    rows = np.array(order, dtype=np.int64)
    sizes = np.array(table.sizes, dtype=np.int64)[rows]
    starts = starts_of(-(-sizes // BLOCK) * BLOCK)
    place = np.zeros(len(table.names), dtype=np.uint64)
    place[rows] = starts[:-1]
    for row, other in shared:
        if _contents(table, row) != _contents(table, other):
            paths = f"/{table.paths[other]} and /{table.paths[row]}"
            raise CorruptError(f"{paths} share contents and differ", hint=_HINT)
        place[row] = place[other]
    tar = starts_of(np.array(stored, dtype=np.int64)[rows[:packed]])
    return _Area(rows[:packed], tar, place, int(starts[-1]))


def _contents(table: Table, row: int) -> tuple[object, int]:
    """Return what files with the same bytes in a pack may differ in."""
    return table.extents.get(row), table.stamps[row]


def _extents(table: Table, area: _Area) -> Extents:
    """Return where contents lie."""
    found = np.stack(
        [area.place[area.rows].astype(np.int64), area.tar[:-1], np.diff(area.tar)], axis=1
    )
    sparse = np.flatnonzero(np.isin(area.rows, list(table.extents))).tolist()
    pieces: list[tuple[int, int, int]] = []
    for at in sparse:
        start, position, _ = found[at].tolist()
        for offset, length in table.extents[int(area.rows[at])]:
            pieces.append((start + offset, position, length))
            position += length
    if pieces:
        found = np.concatenate([np.delete(found, sparse, axis=0), np.array(pieces)])
        found = found[np.argsort(found[:, 0], kind="stable")]
    return Extents(*(np.ascontiguousarray(column) for column in found.T.astype(np.uint64)))


def _chunks(table: Table, frames: Sequence[Placed], area: _Area) -> ChunkTable:
    """Return the frames as chunks."""
    columns: Any = zip(*(frame for pack in table.packs for frame in pack.frames), strict=True)
    fields = Frame._make(columns)
    data = area.place[[placed.files[0] for placed in frames]].astype(np.int64)
    for number, placed in enumerate(frames):
        if placed.frame and table.packs[placed.pack].single:
            data[number] += _offset(table.extents.get(placed.files[0]), placed.start)
    count = len(frames)
    return ChunkTable(
        blob=starts_of(np.array(fields.stored, dtype=np.int64)).astype(np.uint64),
        tar=starts_of(np.array(fields.raw, dtype=np.int64)).astype(np.uint64),
        data=np.append(data, area.size).astype(np.uint64),
        digest=np.frombuffer(bytes.fromhex("".join(fields.digest)), dtype=np.uint8).reshape(-1, 32),
        codec=np.full(count, Codec.ZSTD, dtype=np.uint8),
        skip=np.zeros(count, dtype=np.uint32),
        bits=np.zeros(count, dtype=np.uint8),
        window=np.zeros(count + 1, dtype=np.uint64),
    )


def _stamps(table: Table, area: _Area) -> Stamps:
    """Return what the packs do not hold."""
    value = np.array(table.stamps, dtype=np.int64)[area.rows]
    stamped = value >= 0
    offset = area.place[area.rows[stamped]].astype(np.int64) + OFFSET
    return Stamps(offset, value[stamped].astype(np.uint32))


def _offset(extents: Sequence[tuple[int, int]] | None, stored: int) -> int:
    """Return where in a file the byte is that has `stored` bytes of contents in front of it."""
    if extents is None:
        return stored
    before = [0, *accumulate(length for _, length in extents)]
    row = bisect_right(before, stored) - 1
    return extents[row][0] + stored - before[row]


def pack_sizes(table: Table) -> Sequence[tuple[str, int]]:
    """Return digest and bytes of each pack, in the order of the image's blob."""
    return [(pack.digest, pack.stored) for pack in table.packs]
