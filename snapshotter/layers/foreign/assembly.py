"""Entries of a foreign table of contents -> an index, through the tree builder that tars pass too.

A table says which bytes of the blob hold which piece of a file, and nothing of the headers between
them. So the "tar" of such an index is the pieces' bytes, one behind the other. The data area is
that of the real tar all the same: files in the order in which they lie in the blob. So is the tree,
with whiteouts, links and duplicates as containerd would have them.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.layers.records import ChunkTable, Codec, LayerIndex, Proof
from snapshotter.layers.tar.apply import TreeBuilder
from snapshotter.layers.tar.data_area import DataArea
from snapshotter.layers.tar.member import Member, Run
from snapshotter.limits import Limits

_NOTHING: Final = sha256(b"").digest()
_GAP: Final = 16 << 20
"""Most bytes of a chunk without contents."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The blob that an index is of."""

    digest: str
    """`sha256:...`, as the image manifest names it."""
    size: int
    """Bytes."""


class Piece(NamedTuple):
    """A run of a file's bytes that can be had alone."""

    offset: int
    """Where it begins in the file."""
    length: int
    blob: int
    """Where the compressed bytes begin: up to those of the next piece, other things may follow."""
    digest: bytes
    """SHA-256 of the lead and the piece."""
    zeros: bool = False
    """It is nothing but zeros, and need not be fetched."""
    lead: int = 0
    """Bytes in front of it that come out when its compressed bytes are entered."""


class Assembler:
    """Takes entries in the order of the tar; useless after an error."""

    def __init__(self, layer: Layer, codec: Codec, limits: Limits) -> None:
        self._layer = layer
        self._codec = codec
        self._limits = limits
        self._area = DataArea(limits)
        self._builder = TreeBuilder(self._area, limits)
        self._position = 0  # in the tar
        self._blob = array("Q")
        self._tar = array("Q")
        self._data = array("Q")
        self._digests = bytearray()

    def add(self, member: Member, pieces: Sequence[Piece] = ()) -> None:
        """Apply the next entry; its runs are those of the pieces. Raises `CorruptError`."""
        start = self._area.size
        self._builder.add(member._replace(runs=self._runs(pieces)))
        placed = self._area.size > start  # not so if the entry is a whiteout, whatever it holds
        for piece in pieces:
            if placed:
                self._place(piece, start + piece.offset)
            else:
                self._chunk(piece.blob, start, 0, _NOTHING)

    def finish(self, end: int) -> LayerIndex:
        """Return the index; `end` is where the blob's last contents end. Raises `CorruptError`."""
        self._gaps(end if self._blob else 0, self._layer.size, self._area.size)
        tree = self._builder.finish()
        count = len(self._blob)
        return LayerIndex(
            layer_digest=self._layer.digest,
            layer_size=self._layer.size,
            diff_id=self._layer.digest,  # nobody has read the tar, and nobody asks
            merkle_root=bytes(32),
            windows_digest="",
            tree=tree,
            extents=self._area.extents(),
            chunks=ChunkTable(
                blob=np.array([*self._blob, self._layer.size], dtype=np.uint64),
                tar=np.array([*self._tar, self._position], dtype=np.uint64),
                data=np.array([*self._data, self._area.size], dtype=np.uint64),
                digest=np.frombuffer(bytes(self._digests), dtype=np.uint8).reshape(count, 32),
                codec=np.full(count, self._codec, dtype=np.uint8),
                skip=np.zeros(count, dtype=np.uint32),
                bits=np.zeros(count, dtype=np.uint8),
                window=np.zeros(count + 1, dtype=np.uint64),
                proof=Proof.TAR,
            ),
        )

    def _runs(self, pieces: Sequence[Piece]) -> tuple[Run, ...]:
        """Return where the pieces will lie in the tar; neighbours are one run."""
        runs: list[Run] = []
        at = self._position
        for piece in pieces:
            if piece.zeros:
                continue
            at += piece.lead
            run = Run(piece.offset, at, piece.length)
            if runs and _touch(runs[-1], run):
                run = runs[-1]._replace(length=runs[-1].length + run.length)
                runs.pop()
            runs.append(run)
            at += piece.length
        return tuple(runs)

    def _place(self, piece: Piece, data: int) -> None:
        """Add the chunk of a piece, at its place in the data area."""
        if not piece.zeros:
            self._chunk(piece.blob, data, piece.lead + piece.length, piece.digest)
            return
        for at in range(0, piece.length, _GAP):
            self._chunk(piece.blob, data + at, 0, _NOTHING)

    def _chunk(self, blob: int, data: int, length: int, digest: bytes) -> None:
        if not self._blob:
            self._gaps(0, blob, 0)
        if self._blob and blob < self._blob[-1]:
            raise CorruptError(f"contents at {blob} follow contents at {self._blob[-1]}")
        if len(self._blob) >= self._limits.chunks:
            raise CorruptError(f"layer has more than {self._limits.chunks} chunks")
        self._blob.append(blob)
        self._tar.append(self._position)
        self._data.append(data)
        self._digests += digest
        self._position += length

    def _gaps(self, start: int, end: int, data: int) -> None:
        """Cover bytes of the blob that hold no contents; `data`: what of these lies before them."""
        for blob in range(start, end, _GAP):
            if self._blob and blob <= self._blob[-1]:
                raise CorruptError(f"contents at {self._blob[-1]} lie behind their end at {blob}")
            self._blob.append(blob)
            self._tar.append(self._position)
            self._data.append(data)
            self._digests += _NOTHING


def _touch(one: Run, other: Run) -> bool:
    """Say whether a run goes on where another ends, in the file and in the tar."""
    in_file, in_tar = other.offset - one.offset, other.tar_offset - one.tar_offset
    return in_file == in_tar == one.length
