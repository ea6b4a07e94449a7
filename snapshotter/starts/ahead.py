"""Receives a stream before anybody takes it: the link does not idle while others get ready.

Race-free: one task puts, one takes; what goes wrong travels through the queue behind what came.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

_PIECES: Final = 6
"""Pieces of up to 1 MiB that are received ahead; the kernel holds some more."""


class ReceivedAhead:
    """The pieces of a stream, some of them at hand already. To be closed."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        """Begin to receive `pieces`, which are closed with this."""
        self._queue: asyncio.Queue[bytes | Exception] = asyncio.Queue(_PIECES)
        self._task = asyncio.create_task(self._receive(pieces))

    async def _receive(self, pieces: AsyncGenerator[bytes]) -> None:
        end: Exception = StopAsyncIteration()
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    await self._queue.put(piece)
        except Exception as error:  # noqa: BLE001  raised where the pieces are taken
            end = error
        await self._queue.put(end)

    def __aiter__(self) -> "ReceivedAhead":
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. Raises what the stream raised, once all before it was taken."""
        item = await self._queue.get()
        if isinstance(item, Exception):
            self._queue.put_nowait(item)
            raise item
        return item

    async def aclose(self) -> None:
        """Stop receiving."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
