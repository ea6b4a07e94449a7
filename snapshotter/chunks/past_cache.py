"""Writing past the kernel's page cache: O_DIRECT, open(2).

A byte that is written the usual way takes a page of memory, which the kernel has to find, and a
copy into it. For what is read from elsewhere that is lost, and it is more than to decompress it
where memory is still to be given to the machine. So whole blocks go to the disk from where they
are. What the two ends of a range share with their neighbours goes the usual way, as do all of it
where the file system, or the disk, does not take O_DIRECT.

Race-free: `_refused` is set by any thread, and only ever to True. Ranges that are written at a
time do not overlap, and no block that goes past the cache has bytes of two ranges.
"""

import errno
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bootseer.write_all import write_all
from snapshotter.chunks.descriptor import Descriptor

_LEAST: Final = max(4096, mmap.PAGESIZE)
"""Bytes: a block of the common file systems, and more than any disk's sector."""
_REFUSALS: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class PastCache:
    """A file that is written past the page cache."""

    __slots__ = ("_direct", "_file", "_refused", "_unit")

    def __init__(self, path: Path, file: Descriptor) -> None:
        """`file`: the same file, open for writing the usual way; stays the caller's."""
        self._file = file
        with file as number:
            self._unit = max(_LEAST, os.fstat(number).st_blksize)
        self._direct: Descriptor | None = None
        try:
            self._direct = Descriptor(os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_DIRECT))
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
        self._refused = False

    def write(self, offset: int, pieces: Sequence[bytes | memoryview]) -> memoryview:
        """Write adjacent pieces (blocking); return them as one.

        OSError if the disk will not take them.
        """
        whole = self._gather(offset, pieces)
        start, end = self._write_blocks(offset, whole)
        with self._file as number:
            write_all(number, offset, whole[:start])
            write_all(number, offset + end, whole[end:])
        return whole

    def _gather(self, offset: int, pieces: Sequence[bytes | memoryview]) -> memoryview:
        """Copy pieces to where their whole blocks may be written from."""
        size = sum(map(len, pieces))
        room = np.empty(size + self._unit, np.uint8)
        skip = (offset - int(room.__array_interface__["data"][0])) % self._unit
        whole = room.data[skip : skip + size]
        at = 0
        for piece in pieces:
            whole[at : at + len(piece)] = piece
            at += len(piece)
        return whole

    def _write_blocks(self, offset: int, data: memoryview) -> tuple[int, int]:
        """Write the whole blocks of `data`; return where in it what was written begins and ends."""
        start = -offset % self._unit
        end = (offset + len(data)) // self._unit * self._unit - offset
        if self._direct is None or self._refused or start >= end:
            return 0, 0
        at = start
        try:
            with self._direct as number:
                while at < end:
                    at += os.pwrite(number, data[at:end], offset + at)
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self._refused = at == start  # else the disk took part of a block
        return start, at

    def close(self) -> None:
        """Close what was opened here."""
        if self._direct is not None:
            self._direct.close()
