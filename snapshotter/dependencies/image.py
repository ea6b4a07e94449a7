"""The tree of a dependency snapshot -> what a block image of it is made of. Pure.

A snapshot is served like a layer whose blob is all its packs, one behind the other: a chunk is a
zstd frame, the "tar" is what the frames hold, and the data area has each file on a 4 KiB boundary
in the order of the packs. What a layer index cannot say are the times in compiled Python, which
packs do not hold (`Stamps`), and that a chunk's digest is that of the frame as it is stored.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

import numpy as np

from bootseer.errors import CorruptError
from depsnap.tree.entries import Entry, Kind, Tree
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
    area = _Area(tree)
    for placed in frame_of_each(tree):
        area.add(placed)
    area.end()
    index = LayerIndex(
        layer_digest=digest,
        layer_size=area.blob[-1],
        diff_id=digest,
        merkle_root=bytes.fromhex(tree.root) or bytes(32),
        windows_digest="",
        tree=layer_tree(tree.entries, area.places()),
        extents=area.extents(),
        chunks=area.chunks(),
    )
    return Image(index, area.stamps())


@dataclass(slots=True)
class _Area:
    """The data area as it is laid out, frame by frame."""

    tree: Tree
    place: dict[int, int] = field(default_factory=dict)
    """Where the contents of each entry, by row, start in the data area."""
    blob: list[int] = field(default_factory=lambda: [0])
    tar: list[int] = field(default_factory=lambda: [0])
    data: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    runs: list[tuple[int, int, int]] = field(default_factory=list)
    """Rows of `Extents`."""
    stamped: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0
    """Bytes of the data area so far."""

    def add(self, placed: Placed) -> None:
        """Lay out what a frame holds."""
        pack = self.tree.packs[placed.pack]
        frame = pack.frames[placed.frame]
        if pack.single:
            self._single(placed)
        else:
            self.data.append(self.size)
            at = self.tar[-1]
            for row in placed.files:
                at = self._file(row, at)
        self.blob.append(self.blob[-1] + frame.stored)
        self.tar.append(self.tar[-1] + frame.raw)
        self.digests.append(bytes.fromhex(frame.digest))

    def _single(self, placed: Placed) -> None:
        """Lay out the frames of one file's contents, which entries may share."""
        entry = self.tree.entries[placed.files[0]]
        if placed.frame == 0:
            self.data.append(self.size)
            for row in placed.files:
                other = self.tree.entries[row]
                if (other.extents, other.stamp) != (entry.extents, entry.stamp):
                    raise CorruptError(
                        f"/{entry.path} and /{other.path} share contents and differ", hint=_HINT
                    )
            self._file(placed.files[0], self.tar[-1])
            for row in placed.files:
                self.place[row] = self.place[placed.files[0]]
        else:
            self.data.append(self.place[placed.files[0]] + _offset(entry, placed.start))

    def _file(self, row: int, at: int) -> int:
        """Give a file its room; its contents are from `at` on in what the frames hold, and until
        what is returned."""
        entry = self.tree.entries[row]
        start, size = self.size, entry.size
        self.place[row] = start
        if entry.extents is None:
            self.runs.append((start, at, size))
            at += size
        else:
            for offset, length in entry.extents:
                self.runs.append((start + offset, at, length))
                at += length
        if entry.stamp >= 0:
            self.stamped.append((start + _STAMP_AT, entry.stamp))
        self.size = start + -(-size // BLOCK) * BLOCK
        return at

    def end(self) -> None:
        """Give files that are nothing but a hole their room, and end the last chunk."""
        for row, entry in enumerate(self.tree.entries):
            if entry.kind is Kind.FILE and entry.size and entry.pack < 0:
                self.place[row] = self.size
                self.size += -(-entry.size // BLOCK) * BLOCK
        if not self.data:
            raise CorruptError("the snapshot has no contents", hint=_HINT)
        self.data.append(self.size)

    def places(self) -> U64:
        """Return where the contents of every entry start; 0 where there are none."""
        found = np.zeros(len(self.tree.entries), dtype=np.uint64)
        found[list(self.place)] = list(self.place.values())
        return found

    def extents(self) -> Extents:
        """Return where contents lie."""
        table = np.array(self.runs, dtype=np.uint64).reshape(-1, 3)
        return Extents(*(np.ascontiguousarray(column) for column in table.T))

    def chunks(self) -> ChunkTable:
        """Return the frames as chunks."""
        count = len(self.digests)
        return ChunkTable(
            blob=np.array(self.blob, dtype=np.uint64),
            tar=np.array(self.tar, dtype=np.uint64),
            data=np.array(self.data, dtype=np.uint64),
            digest=np.frombuffer(b"".join(self.digests), dtype=np.uint8).reshape(-1, 32),
            codec=np.full(count, Codec.ZSTD, dtype=np.uint8),
            skip=np.zeros(count, dtype=np.uint32),
            bits=np.zeros(count, dtype=np.uint8),
            window=np.zeros(count + 1, dtype=np.uint64),
        )

    def stamps(self) -> Stamps:
        """Return what the packs do not hold."""
        table = np.array(self.stamped, dtype=np.int64).reshape(-1, 2)
        return Stamps(np.ascontiguousarray(table[:, 0]), table[:, 1].astype(np.uint32))


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
