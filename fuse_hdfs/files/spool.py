"""Units that were written in any order, in a file of this machine until they are published.

Concurrency: its owner calls one method at a time.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fuse_hdfs.views import behind

_AT_ONCE: Final = os.sysconf("SC_IOV_MAX")


class Spool:
    """A nameless sparse file: a unit lies at its number times the size of a unit."""

    def __init__(self, directory: Path, unit: int) -> None:
        """OSError if no file can be made in `directory`."""
        flags = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
        self._descriptor = os.open(directory, flags, 0o600)
        self._unit = unit
        self.numbers: set[int] = set()
        """Units that are here, whole."""

    async def write(self, number: int, start: int, *pieces: bytes | memoryview) -> None:
        """Write into a unit, which counts as whole from then on. OSError: ENOSPC ..."""
        offset = number * self._unit + start
        await asyncio.to_thread(_write, self._descriptor, pieces, offset)
        self.numbers.add(number)

    def blank(self, number: int) -> None:
        """Begin with a unit of zeros, which takes no room."""
        self.numbers.add(number)

    async def read(self, number: int, start: int, length: int) -> bytes:
        """Return bytes of a unit, zeros where nothing was written."""
        offset = number * self._unit + start
        data = await asyncio.to_thread(os.pread, self._descriptor, length, offset)
        return data.ljust(length, b"\0")

    def forget_from(self, number: int) -> None:
        """Drop a unit and all behind it."""
        os.truncate(self._descriptor, number * self._unit)
        self.numbers = {one for one in self.numbers if one < number}

    def close(self) -> None:
        """Give the room back."""
        os.close(self._descriptor)


def _write(descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> None:
    rest: Sequence[memoryview] = [memoryview(piece) for piece in pieces]
    while rest:
        done = os.pwritev(descriptor, rest[:_AT_ONCE], offset)
        rest, offset = behind(rest, done), offset + done
