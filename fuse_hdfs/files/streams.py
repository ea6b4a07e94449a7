"""Stripes that are read from front to back: one request each, for as long as a reader follows.

A store spends much on every request. Whoever reads ahead asks for one unit of a stripe after the
other, so what begins at one goes on with the next; it stops sending while nobody asks.

Race-free: one event loop's thread. A read takes its turn before its first await: it names where the
stream has to be then, and a lock, which is fair, brings the turns in that order. A stream that
failed, or whose read was cancelled, leaves the table before anything else can be asked of it. One
that is dropped while it is opened has nothing to close yet: who opened it finds it gone, and closes
it.
"""

import asyncio
import contextlib
from typing import Final

from fuse_hdfs.stores.store import Store, Stream

_MOST: Final = 256
_IDLE_S: Final = 3.0
"""A stream of which nobody wants more for so long is closed."""


class _Following:
    """One stripe."""

    def __init__(self, offset: int, place: str | None) -> None:
        self.next = offset
        """Where it will be when all that is asked for has come."""
        self.place = place
        self.lock = asyncio.Lock()
        self.source: Stream | None = None
        self.stack = contextlib.AsyncExitStack()
        self.timer: asyncio.TimerHandle | None = None


class StripeStreams:
    """All of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._following: dict[str, _Following] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def read(self, path: str, offset: int, length: int, place: str | None) -> bytes | None:
        """Return bytes of a stripe, fewer where it ends; None if no stream leads to them.

        `place`: where a new stream is to come from. OSError: the stream broke.
        """
        stream = self._following.get(path)
        if stream is None:
            if len(self._following) >= _MOST:
                return None
            stream = self._following[path] = _Following(offset, place)
        if stream.next != offset:
            return None
        stream.next += length
        try:
            async with stream.lock:
                if self._following.get(path) is not stream:
                    return None
                if stream.timer is not None:
                    stream.timer.cancel()
                data = await self._next(stream, path, offset, length)
        except BaseException:
            self.drop(path, stream)
            raise
        if len(data) < length:
            self.drop(path, stream)
        elif stream.next == offset + length:
            loop = asyncio.get_running_loop()
            stream.timer = loop.call_later(_IDLE_S, self.drop, path, stream)
        return data

    def place(self, path: str) -> str | None:
        """Return where the stream of a stripe comes from, if there is one and that is known."""
        stream = self._following.get(path)
        return stream.source.place if stream is not None and stream.source is not None else None

    def drop(self, path: str, stream: _Following | None = None) -> None:
        """Close the stream of a stripe, if it is this one or any; who waits for it gets none."""
        found = self._following.get(path)
        if found is None or stream not in (None, found):
            return
        del self._following[path]
        if found.timer is not None:
            found.timer.cancel()
        self._end(found)

    def _end(self, stream: _Following) -> None:
        closing = asyncio.get_running_loop().create_task(_close(stream))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all of them."""
        for path in list(self._following):
            self.drop(path)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _next(self, stream: _Following, path: str, offset: int, length: int) -> bytes:
        if stream.source is None:
            opening = self._store.stream(path, offset, place=stream.place)
            stream.source = await stream.stack.enter_async_context(opening)
        try:
            return await stream.source.read(length)
        finally:
            if self._following.get(path) is not stream:
                self._end(stream)


async def _close(stream: _Following) -> None:
    with contextlib.suppress(OSError):  # nobody wants anything of it any more
        await stream.stack.aclose()
