"""Memory that several share: who wants more than is left waits until others give back.

Race-free: one event loop's thread; what is taken is counted without an await after the last look.
Nobody may wait in `take` while others can only give back after it has gone on.
"""

import asyncio


class Room:
    """Bounded by bytes."""

    def __init__(self, size: int) -> None:
        """`size`: bytes."""
        self._size = size
        self._left = size
        self._waiting: list[asyncio.Future[None]] = []

    async def take(self, size: int) -> None:
        """Take so many bytes; more than there are at all counts as all of them."""
        while self._left < min(size, self._size):
            given = asyncio.get_running_loop().create_future()
            self._waiting.append(given)
            await given
        self._left -= size

    async def take_within(self, size: int, seconds: float) -> bool:
        """Take so many bytes as `take` does, or none if there are too few for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.take(size)
        except TimeoutError:
            return False
        return True

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._left += size
        waiting, self._waiting = self._waiting, []
        for given in waiting:
            if not given.done():
                given.set_result(None)
