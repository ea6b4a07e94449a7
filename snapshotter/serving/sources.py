"""Blobs from the first place that has them, or from a file."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from bootseer.errors import BootseerError, CorruptError, HostError, NotFoundError, RemoteError
from snapshotter.ports import Early, MirroredSource

log = logging.getLogger(__name__)

_GONE: Final = (NotFoundError, RemoteError, HostError)
"""What a place that cannot give a blob raises; a directory, `HostError`."""


class FirstOf:
    """A `MirroredSource` over several repositories: a layer is often in more than one."""

    def __init__(self, sources: Sequence[MirroredSource]) -> None:
        """`sources`, at least one, in the order in which they are tried."""
        self._sources = list(sources)

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        """Return the bytes from the first source that gives them; it is tried first from then on.

        Race-free: the list is only ever reordered, in one step, by the event loop's thread.
        """
        failure: BootseerError | None = None
        for source in tuple(self._sources):
            try:
                data = await source.read(digest, offset, length, early)
            except _GONE as error:
                failure = failure or error
                continue
            if source is not self._sources[0]:
                self._sources.sort(key=lambda other: other is not source)
            return data
        raise failure or NotFoundError(f"blob {digest}: nowhere to fetch it from")

    async def doubt(self, digest: str) -> None:
        """Doubt all sources' mirrors: which of them sent the bytes is not known."""
        for source in tuple(self._sources):
            await source.doubt(digest)

    async def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the blob, or a part of it; when a source fails the next one goes on from there."""
        failure: BootseerError | None = None
        came = 0
        for source in tuple(self._sources):
            left = None if length is None else length - came
            try:
                async with aclosing(source.stream(digest, offset + came, left)) as pieces:
                    async for piece in pieces:
                        came += len(piece)
                        yield piece
            except _GONE as error:
                failure = failure or error
            else:
                return
        raise failure or NotFoundError(f"blob {digest}: nowhere to fetch it from")


class WithLocal:
    """A `MirroredSource` one of whose blobs is a file that was made here."""

    def __init__(self, source: MirroredSource, digest: str, path: Path) -> None:
        """`digest` names the blob that is at `path`; all others are the `source`'s."""
        self._source = source
        self._digest = digest
        self._path = path

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        """Return exactly `length` bytes from `offset`.

        Raises:
            CorruptError: the file is shorter, or gone.
        """
        if digest != self._digest:
            return await self._source.read(digest, offset, length, early)
        return await asyncio.to_thread(self._pread, offset, length)

    def _pread(self, offset: int, length: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                data = os.pread(file.fileno(), length, offset)
        except OSError as error:
            raise CorruptError(f"{self._path}: {error.strerror}") from error
        if len(data) != length:
            raise CorruptError(f"{self._path} ends before {offset + length}")
        return data

    async def doubt(self, digest: str) -> None:
        """Doubt a blob's mirrors; there are none of the file."""
        if digest != self._digest:
            await self._source.doubt(digest)

    def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield a blob of the source, or a part of it."""
        return self._source.stream(digest, offset, length)
