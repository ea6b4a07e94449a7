"""Where file contents go in the data area: assigned in tar order, as the stream is read.

Every file starts on a 4 KiB boundary behind the one before. What a later entry replaces keeps its
place, unused, since its bytes have gone by when that becomes known.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.layers.records import BLOCK, Extents
from snapshotter.layers.tar.member import Run
from snapshotter.limits import DEFAULT, Limits


class Segment(NamedTuple):
    """A run of file content, in both address spaces. Lengths and offsets in bytes."""

    data_offset: int
    tar_offset: int
    length: int


class DataArea:
    """The extents of a layer, growing. Both columns of offsets ascend."""

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._data = array("Q")
        self._tar = array("Q")
        self._length = array("Q")
        self._zeros = 0
        self._next = 0  # first extent that `between` has not passed
        self.size = 0
        """Where the last file ends, in bytes, rounded up to 4 KiB."""

    def place(self, size: int, runs: Sequence[Run]) -> int:
        """Make room for a file of `size` bytes, holes included; return its offset.

        Raises `CorruptError` when the layer gets larger, or emptier, than a layer may be.
        """
        start = self.size
        stored = 0
        for offset, tar_offset, length in runs:
            self._data.append(start + offset)
            self._tar.append(tar_offset)
            self._length.append(length)
            stored += length
        self._zeros += size - stored
        self.size = start + (size + BLOCK - 1) // BLOCK * BLOCK
        self._check()
        return start

    def _check(self) -> None:
        if self.size > self._limits.data_area:
            raise CorruptError(f"a layer with more than {self._limits.data_area} bytes of files")
        if len(self._tar) > self._limits.entries:
            raise CorruptError(f"a layer with more than {self._limits.entries} pieces of files")
        if self._zeros > self._limits.sparse_zeros:
            raise CorruptError(f"sparse files with more than {self._limits.sparse_zeros} zeros")

    def between(self, start: int, end: int) -> list[Segment]:
        """Return the content within `[start, end)` of the tar stream.

        Ranges must follow one another: `start` is where the range before ended.
        """
        found = []
        while self._next < len(self._tar):
            data, tar, length = (
                self._data[self._next],
                self._tar[self._next],
                self._length[self._next],
            )
            if tar >= end:
                break
            first, last = max(tar, start), min(tar + length, end)
            if first < last:
                found.append(Segment(data + first - tar, first, last - first))
            if tar + length > end:
                break
            self._next += 1
        return found

    def extents(self) -> Extents:
        """Return all extents so far."""
        return Extents(
            data=np.array(self._data, dtype=np.uint64),
            tar=np.array(self._tar, dtype=np.uint64),
            length=np.array(self._length, dtype=np.uint64),
        )
