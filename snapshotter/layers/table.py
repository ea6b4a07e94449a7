"""Builds a chunk table from cuts as they are met."""

from array import array
from collections.abc import Mapping

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.layers.events import Cut
from snapshotter.layers.records import ChunkTable, Codec
from snapshotter.limits import Limits


class TableBuilder:
    """The columns of a `ChunkTable`, growing by a row a cut."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._blob = array("Q")
        self._tar = array("Q")
        self._data = array("Q")
        self._codec = array("B")
        self._skip = array("I")
        self._bits = array("B")
        self._checkpoints = array("Q")  # rows that are cuts of the stream, in order
        self.entered = True
        """Every chunk starts where its codec can be entered."""

    def __len__(self) -> int:
        """Return the number of chunks begun."""
        return len(self._blob)

    @property
    def placed(self) -> int:
        """How many chunks have a place in the data area."""
        return len(self._data)

    @property
    def tar(self) -> int:
        """Where the chunk begun last starts in the uncompressed layer."""
        return self._tar[-1]

    def add(self, cut: Cut, tar: int) -> None:
        """Begin a chunk at a cut of the stream. Raises `CorruptError` beyond the limit."""
        self._checkpoints.append(len(self._blob))
        self._append(cut, tar)

    def force(self, blob: int, tar: int) -> None:
        """Begin a chunk in spite of the stream, about at `blob`: only plain tar can be entered."""
        codec = Codec(self._codec[-1])
        if codec == Codec.RAW:
            blob = tar
        else:
            self.entered = False
            # A deflate cut counts the byte that it shares, so one less never overtakes the next.
            blob = max(self._blob[-1], blob - 1)
        self._append(Cut(blob, codec), tar)

    def place(self, data: int) -> None:
        """Say where in the data area the first chunk lies that has no place yet."""
        self._data.append(data)

    def finish(
        self, blob: int, tar: int, data: int, digests: bytes, windows: Mapping[int, int]
    ) -> ChunkTable:
        """Return the table; all sizes in bytes, `windows` maps a cut to the size of its window.

        Raises:
            CorruptError: a chunk has more compressed bytes than a node would take.
        """
        count = len(self)
        blobs = np.array([*self._blob, blob if count else 0], dtype=np.uint64)
        if count and int(np.diff(blobs).max()) > self._limits.chunk_compressed:
            raise CorruptError("layer has compressed data without content beyond any reason")
        sizes = np.zeros(count + 1, dtype=np.uint64)
        for cut, size in windows.items():
            sizes[self._checkpoints[cut] + 1] = size
        return ChunkTable(
            blob=blobs,
            tar=np.array([*self._tar, tar], dtype=np.uint64),
            data=np.array([*self._data, data], dtype=np.uint64),
            digest=np.frombuffer(digests, dtype=np.uint8).reshape(count, 32),
            codec=np.array(self._codec, dtype=np.uint8),
            skip=np.array(self._skip, dtype=np.uint32),
            bits=np.array(self._bits, dtype=np.uint8),
            window=np.cumsum(sizes, dtype=np.uint64),
        )

    def _append(self, cut: Cut, tar: int) -> None:
        if len(self) >= self._limits.chunks:
            raise CorruptError(f"layer has more than {self._limits.chunks} chunks")
        self._blob.append(cut.blob)
        self._tar.append(tar)
        self._codec.append(cut.codec)
        self._skip.append(cut.skip)
        self._bits.append(cut.bits)
