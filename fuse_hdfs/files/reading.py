"""Reading one version of a file: its units from the cache or the store, and ahead of the reader.

Concurrency: nothing changes but `Ahead`, a hint of each reader's own, and `Course`, which says why
that is no race.
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from fuse_hdfs.files.ahead import Ahead
from fuse_hdfs.files.contents import Contents
from fuse_hdfs.files.course import Course
from fuse_hdfs.files.version import Version
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.striping.layout import Locator, Manifest, Piece, Place, pieces

Found: TypeAlias = bytes | memoryview
"""Bytes of a file; those of a single unit are a part of that, which is not copied for it."""


class StripedReader:
    """Reads what a manifest says."""

    def __init__(self, contents: Contents, manifest: Manifest) -> None:
        self._contents = contents
        self._manifest = manifest
        self._locator = Locator(manifest)
        self._course = Course(manifest.size, manifest.unit)

    async def read(self, offset: int, length: int, ahead: Ahead | None = None) -> Found:
        """Return bytes of the file; fewer only at its end. OSError: EIO, ETIMEDOUT ..."""
        manifest = self._manifest
        length = max(0, min(length, manifest.size - offset))
        if not length:
            return b""
        wanted = list(pieces(offset, length, manifest.unit))
        found = [self._kept(piece) for piece in wanted]
        missing = [row for row, part in enumerate(found) if part is None]
        # Asked for before what may be wanted later; and without a task where there is nothing to
        # wait for, as nearly always when there is read-ahead.
        coming = None
        if missing:
            coming = asyncio.gather(*(self._piece(wanted[row]) for row in missing))
        if ahead is not None:
            self._course.bring(ahead, offset, length, self._begin)
        if coming is not None:
            for row, part in zip(missing, await coming, strict=True):
                found[row] = part
        here = [part for part in found if part is not None]
        data = here[0] if len(here) == 1 else b"".join(here)
        if ahead is not None and self._course.may_be_told(offset + length):
            await self._course.look(data, self.read)
        return data

    async def unit(self, number: int) -> bytes:
        """Return a unit of the file, with zeros up to its full size."""
        return bytes(await self._piece(Piece(number, 0, self._manifest.unit)))

    def place(self, number: int) -> Place | None:
        """Return where a unit is; None in a hole."""
        return self._locator.place(number)

    async def _piece(self, piece: Piece) -> Found:
        place = self._locator.place(piece.unit)
        if place is None:
            return bytes(piece.length)
        unit = await self._contents.unit(place)
        self._contents.used(place, piece.length)
        return _part(unit, piece)

    def _kept(self, piece: Piece) -> Found | None:
        """Return what `_piece` would, if that need not be waited for."""
        place = self._locator.place(piece.unit)
        if place is None:
            return bytes(piece.length)
        unit = self._contents.kept(place)
        if unit is None:
            return None
        self._contents.used(place, piece.length)
        return _part(unit, piece)

    def _begin(self, number: int) -> bool:
        """Begin to fetch a unit; False if there is no room for that now."""
        place = self._locator.place(number)
        return place is None or self._contents.bring(place)


def _part(unit: bytes, piece: Piece) -> Found:
    """Return the bytes of a unit that are wanted, with zeros where it lacks some."""
    found = memoryview(unit)[piece.start : piece.start + piece.length]
    if len(found) < piece.length:
        return bytes(found).ljust(piece.length, b"\0")
    return unit if len(found) == len(unit) else found


class PlainReader:
    """Reads a plain file by ranges of the size of a unit, several at a time."""

    def __init__(self, contents: Contents, version: Version, path: Callable[[], str]) -> None:
        """`path` says where the file is now; it may be renamed while it is read."""
        self._contents = contents
        self._version = version
        self._path = path
        self._course = Course(version.size, contents.stretch)

    async def read(self, offset: int, length: int, ahead: Ahead | None = None) -> bytes:
        """See `StripedReader.read`."""
        length = max(0, min(length, self._version.size - offset))
        wanted = list(pieces(offset, length, self._contents.stretch))
        parts = asyncio.gather(*(self._piece(piece) for piece in wanted))
        if ahead is not None and wanted:
            self._course.bring(ahead, offset, length, self._begin)
        data = b"".join(await parts)
        if ahead is not None and self._course.may_be_told(offset + length):
            await self._course.look(data, self.read)
        return data

    async def _piece(self, piece: Piece) -> bytes:
        unit = await self._contents.plain_unit(self._path(), self._version, piece.unit)
        self._contents.used_plain(self._version, piece.unit, piece.length)
        return unit[piece.start : piece.start + piece.length]

    def _begin(self, number: int) -> bool:
        """Begin to fetch a stretch; False if there is no room for that now."""
        return self._contents.bring_plain(self._path(), self._version, number)


def reader_of(
    volume: Volume, version: Version, path: Callable[[], str]
) -> StripedReader | PlainReader:
    """Return a reader of a version of the file at `path`."""
    if version.manifest is None:
        return PlainReader(volume.contents, version, path)
    return StripedReader(volume.contents, version.manifest)
