"""Receives a stream before anybody takes it: the link does not idle while others get ready.

Race-free: the event loop's thread only, and no await between looking at the pieces at hand and
changing them. One task receives, one takes; what goes wrong is kept behind what came.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

_OWN: Final = 6 << 20
"""Bytes that any stream may receive ahead; the kernel holds some more."""
_SHARED: Final = 32 << 20
"""Further bytes that all streams together may: a pack, about."""


class AheadRoom:
    """Memory that streams share, so that one may have what many could not."""

    def __init__(self, size: int = _SHARED) -> None:
        """`size` in bytes."""
        self._left = size

    def take(self, size: int) -> bool:
        """Take room for `size` bytes; False if there is not as much."""
        if self._left < size:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        """Give room back."""
        self._left += size


class ReceivedAhead:
    """The pieces of a stream, some of them at hand already. To be closed."""

    def __init__(self, pieces: AsyncGenerator[bytes], room: AheadRoom, *, own: int = _OWN) -> None:
        """Begin to receive `pieces`, which are closed with this; `own`: bytes that may always wait
        here to be taken.
        """
        self.received_at = time.monotonic()
        """When something came last."""
        self._room = room
        self._own = own
        self._held = 0
        self._borrowed = 0
        self._pieces: deque[bytes] = deque()
        self._end: Exception | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._receive(pieces))

    @property
    def held(self) -> int:
        """Bytes that are at hand."""
        return self._held

    async def _receive(self, pieces: AsyncGenerator[bytes]) -> None:
        end: Exception = StopAsyncIteration()
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self.received_at = time.monotonic()
                    while not self._has_room(len(piece)):
                        await self._change()
                    self._pieces.append(piece)
                    self._held += len(piece)
                    self._changed.set()
        except Exception as error:  # noqa: BLE001  raised where the pieces are taken
            end = error
        self._end = end
        self._changed.set()

    def _has_room(self, size: int) -> bool:
        """Say whether so many more bytes may be kept; what is lent for them is taken then."""
        lacking = self._held + size - self._own - self._borrowed
        if lacking <= 0 or not self._held:
            return True
        if self._room.take(lacking):
            self._borrowed += lacking
            return True
        return False

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def __aiter__(self) -> "ReceivedAhead":
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. Raises what the stream raised, once all before it was taken."""
        # Who takes what is at hand would hold the event loop until nothing is left, and the kernel
        # tells a sender late of what arrived while nobody reads.
        await asyncio.sleep(0)
        while not self._pieces:
            if self._end is not None:
                raise self._end
            await self._change()
        piece = self._pieces.popleft()
        self._held -= len(piece)
        returned = min(self._borrowed, len(piece))
        self._borrowed -= returned
        self._room.give(returned)
        self._changed.set()
        return piece

    async def aclose(self) -> None:
        """Stop receiving; nothing more is at hand."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._pieces.clear()
        self._held = 0
        self._end = self._end or StopAsyncIteration()
        self._room.give(self._borrowed)
        self._borrowed = 0
