"""A file of a volume as Python's `io` has files.

Concurrency: all of a file's work is done in one event loop, in another thread than the caller's,
who waits for it. A file may be used by several threads as far as `io`'s buffered files may.
"""

import asyncio
import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar, cast

from fuse_hdfs.files.ahead import Ahead
from fuse_hdfs.files.open_file import OpenFile
from fuse_hdfs.files.volume import Volume

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")

MODES: Final = frozenset({"rb", "r+b", "wb", "w+b", "xb", "x+b", "ab", "a+b"})
_BUFFER: Final = 1 << 20
_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that was opened, and how far to read ahead in it."""

    file: OpenFile
    ahead: Ahead


async def open_in(volume: Volume, path: str, mode: str, stack: contextlib.AsyncExitStack) -> Opened:
    """Open a file as `mode`, one of `MODES`, says; closing the stack gives up what is not flushed.

    OSError as `builtins.open`.
    """
    spool = stack.enter_context(tempfile.TemporaryDirectory(prefix="bootseer-"))
    if "x" in mode:
        version = await volume.create(path, _MODE)
    else:
        try:
            version = await volume.load(path)
        except FileNotFoundError:
            if "r" in mode:
                raise
            version = await volume.create(path, _MODE)
    file = OpenFile(volume, Path(spool), lambda: path, version)
    stack.push_async_callback(file.abandon)
    if "w" in mode:
        await file.resize(0)
    settings = volume.settings
    ahead = Ahead(2 * settings.striping.unit, min(settings.ahead, settings.cache // 2))
    return Opened(file, ahead)


def buffered(raw: "StoredFile") -> BinaryIO:
    """Return a file with the buffers that its mode asks for."""
    if raw.readable() and raw.writable():
        return cast("BinaryIO", io.BufferedRandom(raw, _BUFFER))
    if raw.readable():
        return cast("BinaryIO", io.BufferedReader(raw, _BUFFER))
    return cast("BinaryIO", io.BufferedWriter(raw, _BUFFER))


class StoredFile(io.RawIOBase):
    """One file, unbuffered."""

    def __init__(
        self,
        name: str,
        opened: Opened,
        mode: str,
        loop: asyncio.AbstractEventLoop,
        closing: Callable[[], None],
    ) -> None:
        """`closing` is called once, when all that was written is published, or that failed."""
        super().__init__()
        self.name = name
        self._file = opened.file
        self._ahead = opened.ahead
        self._mode = mode
        self._loop = loop
        self._closing = closing
        self._position = self._file.size if "a" in mode else 0

    def readable(self) -> bool:
        """Say whether it can be read."""
        return "r" in self._mode or "+" in self._mode

    def writable(self) -> bool:
        """Say whether it can be written."""
        return "r" not in self._mode or "+" in self._mode

    def seekable(self) -> bool:
        """Say that it has positions."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read into a buffer; return how many bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._do(self._file.read(self._position, len(view), self._ahead))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def write(self, data: "ReadableBuffer") -> int:
        """Write at the position; at the end, if it appends."""
        content = bytes(data)
        if "a" in self._mode:
            self._position = self._do(self._file.append(content))
        else:
            self._do(self._file.write(self._position, content))
        self._position += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise ValueError(f"position {start + offset} is before the file")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def truncate(self, size: int | None = None) -> int:
        """Cut the file, or let it grow by zeros."""
        wanted = self._position if size is None else size
        self._do(self._file.resize(wanted))
        return wanted

    def close(self) -> None:
        """Publish what was written, and let go of everything, also when that fails."""
        if self.closed:
            return
        try:
            super().close()
            self._do(self._file.flush())
        finally:
            self._closing()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
