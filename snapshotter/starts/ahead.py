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

_OWN: Final = 6
"""Pieces of up to 1 MiB that any stream may receive ahead; the kernel holds some more."""
_SHARED: Final = 32
"""Further pieces that all streams together may: a pack, about."""


class AheadRoom:
    """Memory that streams share, so that one may have what many could not."""

    def __init__(self, pieces: int = _SHARED) -> None:
        """`pieces` of up to 1 MiB."""
        self._left = pieces

    def take(self) -> bool:
        """Take the place of a piece; False if there is none."""
        if self._left <= 0:
            return False
        self._left -= 1
        return True

    def give(self, places: int) -> None:
        """Give places back."""
        self._left += places


class ReceivedAhead:
    """The pieces of a stream, some of them at hand already. To be closed."""

    def __init__(self, pieces: AsyncGenerator[bytes], room: AheadRoom) -> None:
        """Begin to receive `pieces`, which are closed with this."""
        self.received_at = time.monotonic()
        """When something came last."""
        self._room = room
        self._borrowed = 0
        self._pieces: deque[bytes] = deque()
        self._end: Exception | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._receive(pieces))

    async def _receive(self, pieces: AsyncGenerator[bytes]) -> None:
        end: Exception = StopAsyncIteration()
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self.received_at = time.monotonic()
                    while not self._has_place():
                        await self._change()
                    self._pieces.append(piece)
                    self._changed.set()
        except Exception as error:  # noqa: BLE001  raised where the pieces are taken
            end = error
        self._end = end
        self._changed.set()

    def _has_place(self) -> bool:
        """Say whether another piece may be kept; its place is taken then."""
        if len(self._pieces) < _OWN + self._borrowed:
            return True
        if self._room.take():
            self._borrowed += 1
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
        while not self._pieces:
            if self._end is not None:
                raise self._end
            await self._change()
        piece = self._pieces.popleft()
        if self._borrowed:
            self._borrowed -= 1
            self._room.give(1)
        self._changed.set()
        return piece

    async def aclose(self) -> None:
        """Stop receiving; nothing more is at hand."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._pieces.clear()
        self._end = self._end or StopAsyncIteration()
        self._room.give(self._borrowed)
        self._borrowed = 0
