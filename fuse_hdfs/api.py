"""Files of a store for Python programs, without a mount: `fuse_hdfs.open`.

Concurrency: each file has an event loop in a thread of its own, where all of its work is done; the
caller waits for it. A file may be used by several threads as far as `io`'s buffered files may.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, BinaryIO, TypeVar

from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.stored_file import MODES, StoredFile, buffered, open_in
from fuse_hdfs.stores.places import open_store

T = TypeVar("T")


def open(  # noqa: A001  (it is what it is, for files elsewhere)
    store: str, path: str, mode: str = "rb", settings: Settings | None = None
) -> BinaryIO:
    """Open a file of a store (`file:///directory`, `webhdfs://...`) as `builtins.open` does.

    `mode`: `rb`, `r+b`, `wb`, `w+b`, `xb`, `x+b`, `ab` or `a+b`. What is written becomes visible
    when the file is closed, all of it at once; that is when errors of writing are raised at the
    latest. `settings`: how new files are striped, and how much memory this file may take.

    Raises:
        ValueError: another mode.
        OSError: as `builtins.open`.
        BootseerError: the store is not there, or does not answer.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is none of {', '.join(sorted(MODES))}")
    own = settings or Settings()
    thread = _LoopThread()
    stack = contextlib.AsyncExitStack()

    async def opening() -> Volume:
        volume = Volume(await stack.enter_async_context(open_store(store)), own)
        stack.push_async_callback(volume.close)
        return volume

    def closing() -> None:
        try:
            thread.do(stack.aclose())
        finally:
            thread.stop()

    try:
        volume = thread.do(opening())
        opened = thread.do(open_in(volume, path.strip("/"), mode, stack))
    except BaseException:
        closing()
        raise
    return buffered(StoredFile(f"{store}/{path.strip('/')}", opened, mode, thread.loop, closing))


class _LoopThread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def stop(self) -> None:
        """End the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
