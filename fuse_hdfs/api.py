"""Files of a store for Python programs, without a mount: `fuse_hdfs.open`.

Concurrency: each file has an event loop in a thread of its own, where all of its work is done; the
caller waits for it. A file may be used by several threads as far as `io`'s buffered files may.
"""

import asyncio
import contextlib
import io
import os
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar, cast

from fuse_hdfs.files.ahead import Ahead
from fuse_hdfs.files.open_file import OpenFile
from fuse_hdfs.files.volume import Settings, Volume
from fuse_hdfs.stores.places import open_store

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")

_MODES: Final = frozenset({"rb", "r+b", "wb", "w+b", "xb", "x+b"})
_BUFFER: Final = 1 << 20
_MODE: Final = 0o644


def open(  # noqa: A001  (it is what it is, for files elsewhere)
    store: str, path: str, mode: str = "rb", settings: Settings | None = None
) -> BinaryIO:
    """Open a file of a store (`file:///directory`, `webhdfs://...`) as `builtins.open` does.

    `mode`: `rb`, `r+b`, `wb`, `w+b`, `xb` or `x+b`. What is written becomes visible when the file
    is closed, all of it at once; that is when errors of writing are raised at the latest.
    `settings`: how new files are striped, and how much memory this file may take.

    Raises:
        ValueError: another mode.
        OSError: as `builtins.open`.
        BootseerError: the store is not there, or does not answer.
    """
    if mode not in _MODES:
        raise ValueError(f"mode {mode!r} is none of {', '.join(sorted(_MODES))}")
    raw = _StoredFile(store, path.strip("/"), mode, settings or Settings())
    if "+" in mode:
        return cast("BinaryIO", io.BufferedRandom(raw, _BUFFER))
    if raw.readable():
        return cast("BinaryIO", io.BufferedReader(raw, _BUFFER))
    return cast("BinaryIO", io.BufferedWriter(raw, _BUFFER))


class _StoredFile(io.RawIOBase):
    """One file, unbuffered."""

    def __init__(self, store: str, path: str, mode: str, settings: Settings) -> None:
        super().__init__()
        self.name = f"{store}/{path}"
        self._mode = mode
        self._position = 0
        self._ahead = Ahead(2 * settings.striping.unit, min(settings.ahead, settings.cache // 2))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = contextlib.AsyncExitStack()
        try:
            self._file = self._do(self._open(store, path, settings))
        except BaseException:
            self._stop()
            self._mode = ""
            super().close()
            raise

    def readable(self) -> bool:
        return "r" in self._mode or "+" in self._mode

    def writable(self) -> bool:
        return "r" not in self._mode or "+" in self._mode

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        data = self._do(self._file.read(self._position, len(view), self._ahead))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def write(self, data: "ReadableBuffer") -> int:
        content = bytes(data)
        self._do(self._file.write(self._position, content))
        self._position += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise ValueError(f"position {start + offset} is before the file")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int | None = None) -> int:
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
            self._stop()

    async def _open(self, store: str, path: str, settings: Settings) -> OpenFile:
        volume = Volume(await self._stack.enter_async_context(open_store(store)), settings)
        self._stack.push_async_callback(volume.close)
        spool = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bootseer-"))
        if "x" in self._mode:
            version = await volume.create(path, _MODE)
        else:
            try:
                version = await volume.load(path)
            except FileNotFoundError:
                if "w" not in self._mode:
                    raise
                version = await volume.create(path, _MODE)
        file = OpenFile(volume, Path(spool), lambda: path, version)
        self._stack.push_async_callback(file.abandon)
        if "w" in self._mode:
            await file.resize(0)
        return file

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        try:
            self._do(self._stack.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
