"""Objects as files in HDFS, over WebHDFS: plain HTTP, a deadline on every call.

Concurrency: nothing is kept between calls. A file is written under a name of its own that begins
with a dot, and renamed when it is closed; HDFS renames in one step and not over what is there. So
of several writers, on any machine, one wins, and readers see all of a file or none of it.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from bootseer.blobs.store import PIECE, BlobInfo, below, check_name
from bootseer.errors import BootseerError, CorruptError, NotFoundError, RemoteError
from bootseer.webhdfs.address import HdfsAddress
from bootseer.webhdfs.answers import Status, parse_batch, parse_boolean, parse_status
from bootseer.webhdfs.calls import DEFAULT_PATIENCE, Calls, ExistsError, Patience, redirected

_SMALL: Final = 64 << 10
_BATCH: Final = 16 << 20
"""Most bytes of one part of a list; NameNodes send 1000 entries at a time."""
_STALE_S: Final = 86_400.0
"""Age at which an unfinished file was left behind by a writer that is gone."""


@contextlib.asynccontextmanager
async def open_webhdfs(
    address: HdfsAddress, patience: Patience = DEFAULT_PATIENCE
) -> AsyncIterator["WebHdfsBlobs"]:
    """Open the store at an address; usable inside the context only. Nothing is asked yet."""
    connector = aiohttp.TCPConnector(limit_per_host=16)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=PIECE,
        trust_env=False,
    ) as session:
        calls = Calls(session, address, patience)
        try:
            yield WebHdfsBlobs(calls)
        finally:
            await calls.close()


class WebHdfsBlobs:
    """A `BlobStore` in a directory of HDFS, which is made when the first object is put."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._patience = calls.patience

    async def put(self, name: str, content: bytes | Path) -> bool:
        """Store an object; see `BlobStore.put`."""
        if await self._status(check_name(name)) is not None:
            return False
        await self._sweep(name.rpartition("/")[0])
        return await self._calls.again(partial(self._put, name, content))

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """Return part of an object; see `BlobStore.read`."""
        check_name(name)
        return await self._calls.again(partial(self._read, name, offset, length))

    async def stream(self, name: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """Yield an object; a broken connection is taken up where it broke."""
        size = await self.size(name)
        if size is None:
            raise NotFoundError(f"{self._calls.absolute(name)} does not exist")
        attempt = 0
        while offset < size:
            reached = offset
            try:
                async for piece in self._pieces(name, offset, size - offset):
                    offset += len(piece)
                    yield piece
                error = RemoteError(f"{name} broke off after {offset} bytes", temporary=True)
            except RemoteError as failure:
                error = failure
            attempt = 1 if offset > reached else attempt + 1
            if offset < size:
                if not error.temporary or attempt >= self._patience.attempts:
                    raise error
                await self._calls.pause(attempt)

    async def size(self, name: str) -> int | None:
        """Return the bytes of an object; see `BlobStore.size`."""
        status = await self._status(check_name(name))
        return None if status is None or status.directory else status.size

    async def list(self, prefix: str, most: int) -> list[BlobInfo]:
        """Return the objects below a prefix; see `BlobStore.list`."""
        below(prefix)
        found: list[BlobInfo] = []
        directories = [prefix]
        while directories:
            directory = directories.pop()
            async for status in self._entries(directory):
                name = f"{below(directory)}{status.name}"
                if status.directory:
                    directories.append(name)
                else:
                    found.append(BlobInfo(name, status.size, status.modified))
                if len(found) + len(directories) > most:
                    raise CorruptError(f"{self._calls.absolute(prefix)}: more than {most} objects")
        return sorted(found, key=lambda one: one.name)

    async def delete(self, name: str) -> bool:
        """Remove an object; see `BlobStore.delete`."""
        check_name(name)
        return await self._calls.again(partial(self._delete, name))

    async def _put(self, name: str, content: bytes | Path) -> bool:
        directory, _, last = name.rpartition("/")
        temporary = f"{below(directory)}.{last[:100]}.{secrets.token_hex(8)}.new"
        try:
            await self._write(temporary, content)
            # With options, even none, an existing name is an error, and nothing moves into one
            # that is a directory.
            destination = self._calls.absolute(name)
            await self._calls.small(
                "PUT", temporary, "RENAME", _SMALL, destination=destination, renameoptions="NONE"
            )
        except BaseException as error:
            # Whatever happened, also a cancel: try to leave nothing, and say what happened.
            with contextlib.suppress(BootseerError, TimeoutError):
                async with asyncio.timeout(self._patience.connect):
                    await self._delete(temporary)
            if isinstance(error, ExistsError):
                return False
            if isinstance(error, NotFoundError):
                raise RemoteError(f"{name} cannot be written: {error.message}") from error
            raise
        return True

    async def _write(self, name: str, content: bytes | Path) -> None:
        """Ask the NameNode for a DataNode, and send the bytes to that."""
        url = self._calls.url(name, "CREATE", overwrite="true")
        async with (
            asyncio.timeout(self._patience.call),
            self._calls.opened("PUT", url, redirect=False) as response,
        ):
            place = redirected(response, name)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        async with (
            asyncio.timeout(self._patience.transfer(size)),
            self._calls.opened("PUT", place, _pieces_of(content)) as response,
        ):
            if response.status != 201:
                raise RemoteError(f"{name}: {place.host} answers {response.status}, not 201")

    async def _read(self, name: str, offset: int, length: int) -> bytes:
        pieces = [piece async for piece in self._pieces(name, offset, length)]
        data = b"".join(pieces)
        if len(data) != length:
            raise CorruptError(f"{self._calls.absolute(name)} ends before byte {offset + length}")
        return data

    async def _pieces(self, name: str, offset: int, length: int) -> AsyncGenerator[bytes]:
        """Yield up to `length` bytes as they come; fewer if the file or the connection ends."""
        if length == 0:
            return
        url = self._calls.url(name, "OPEN", offset=str(offset), length=str(length))
        async with self._calls.opened("GET", url) as response:
            while length:
                async with asyncio.timeout(self._patience.transfer(PIECE)):
                    piece = await response.content.read(min(length, PIECE))
                if not piece:
                    return
                length -= len(piece)
                yield piece

    async def _status(self, name: str) -> Status | None:
        async def ask() -> Status:
            return parse_status(await self._calls.small("GET", name, "GETFILESTATUS", _SMALL))

        try:
            return await self._calls.again(ask)
        except NotFoundError:
            return None

    async def _entries(self, directory: str) -> AsyncGenerator[Status]:
        """Yield what a directory has under names of ours; nothing if there is no such directory."""
        after: str | None = ""
        while after is not None:
            entries, after = await self._calls.again(partial(self._batch, directory, after))
            for status in entries:
                if status.name and not status.name.startswith("."):
                    yield status

    async def _batch(self, directory: str, after: str) -> tuple[tuple[Status, ...], str | None]:
        """Return a part of a directory, and the name to go on after; None at its end."""
        query = {"startAfter": after} if after else {}
        try:
            data = await self._calls.small("GET", directory, "LISTSTATUS_BATCH", _BATCH, **query)
        except NotFoundError:
            return (), None
        batch = parse_batch(data)
        return batch.entries, batch.entries[-1].name if batch.more else None

    async def _delete(self, name: str) -> bool:
        return parse_boolean(await self._calls.small("DELETE", name, "DELETE", _SMALL))

    async def _sweep(self, directory: str) -> None:
        """Remove what writers left behind that were killed: such names come first in a list."""
        entries, _ = await self._calls.again(partial(self._batch, directory, ""))
        for status in entries:
            unfinished = status.name.startswith(".") and status.name.endswith(".new")
            if unfinished and status.modified < time.time() - _STALE_S:
                await self._delete(f"{below(directory)}{status.name}")


async def _pieces_of(content: bytes | Path) -> AsyncGenerator[bytes]:
    if isinstance(content, bytes):
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]
        return
    with await asyncio.to_thread(content.open, "rb", 0) as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
