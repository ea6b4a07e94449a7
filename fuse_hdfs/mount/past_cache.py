"""Handles that are only written through: past the kernel's page cache.

Nobody can map such a handle, so the cache would only cost: a copy of every byte, memory, and a look
for an extended attribute before each write. Who else has the file open may have pages of it there,
also such as were asked for just before a write and came just behind it. So what the kernel has of
the file is dropped before the write is answered.

Race-free: one event loop's thread; a handle is told of when it is opened and forgotten when it is
closed. The kernel holds a page that it waits for, and so waits itself where that is to be dropped:
in a thread of its own, and not for ever, as whoever is to bring the page may be one of us.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

log = logging.getLogger(__name__)

_DROP_S: Final = 5.0
_THREADS: Final = 4


class PastCache:
    """All of them."""

    def __init__(self, drop: Callable[[int], None]) -> None:
        """`drop` has the kernel forget the contents of a file, by its number; OSError."""
        self._drop = drop
        self._handles: set[int] = set()
        self._threads = ThreadPoolExecutor(_THREADS, "drop-pages")

    def opened(self, handle: int, flags: int) -> bool:
        """Say whether a handle is to be one of them."""
        only_written = flags & os.O_ACCMODE == os.O_WRONLY
        if only_written:
            self._handles.add(handle)
        return only_written

    def released(self, handle: int) -> None:
        """Forget a handle."""
        self._handles.discard(handle)

    def passed(self, handle: int) -> bool:
        """Say whether what is written through a handle goes past the cache."""
        return handle in self._handles

    async def forget(self, inode: int) -> None:
        """Have the kernel forget the contents of a file."""
        dropping = asyncio.get_running_loop().run_in_executor(self._threads, self._dropped, inode)
        try:
            async with asyncio.timeout(_DROP_S):
                await asyncio.shield(dropping)
        except TimeoutError:
            log.warning("pages.not_dropped", extra={"fields": {"inode": inode}})

    def _dropped(self, inode: int) -> None:
        with contextlib.suppress(OSError):  # it has nothing of it
            self._drop(inode)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
