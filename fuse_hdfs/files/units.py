"""Units of segments and of plain files, fetched once, verified, kept while there is room.

Race-free: one event loop's thread. A fetch is registered before the first await, so that whoever
wants the same unit joins it. Units never change, so nothing is ever made invalid: a key names a
segment, or a plain file by its identity. Room is taken before a fetch and given back when its unit
leaves the cache; what is being fetched and what is kept together stay within `room`, but for a
single unit larger than that.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

_STALE_S: Final = 15.0
"""What nobody has asked for in so long was brought in vain, as far as anybody can know."""

Key: TypeAlias = tuple[str, int]
"""Segment or identity of a plain file, and number of the unit."""
Fetch: TypeAlias = Callable[[], Awaitable[bytes]]


class UnitCache:
    """Bounded by bytes. What was asked for goes first, the oldest of it: it was used.

    What was brought ahead stays, up to half of the room, until it is asked for or stale. Programs
    that read a file's parts out of their order, as checkpoints are loaded, come back for it.
    """

    def __init__(self, room: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`room`: bytes; `clock` counts seconds."""
        self._room = room
        self._clock = clock
        self._taken = 0
        self._used: OrderedDict[Key, bytes] = OrderedDict()
        """Units that somebody has asked for, the first to go in front."""
        self._early: OrderedDict[Key, bytes] = OrderedDict()
        """Units that were brought and nobody has asked for yet, likewise."""
        self._unread: OrderedDict[Key, tuple[int, float]] = OrderedDict()
        """Of these and of those that are still being brought: bytes, and when that began."""
        self._unread_bytes = 0
        self._flights: dict[Key, asyncio.Task[bytes]] = {}
        self._freed = asyncio.Condition()

    @property
    def taken(self) -> int:
        """Bytes that are kept, or being fetched."""
        return self._taken

    async def get(self, key: Key, size: int, fetch: Fetch) -> bytes:
        """Return a unit, of `size` bytes; raises what `fetch` raises."""
        kept = self.kept(key)
        if kept is not None:
            return kept
        # The flight goes on when this caller is cancelled: others may have joined it.
        return await asyncio.shield(self._flight(key, size, fetch))

    def bring(self, key: Key, size: int, fetch: Fetch) -> bool:
        """Begin to fetch a unit that will be wanted; False if there is no room for that now.

        What nobody has asked for yet takes at most half of the room, of all readers together, so
        that it crowds out neither what is asked for nor itself.
        """
        if key in self._used or key in self._early or key in self._flights:
            return True
        if self._unread_bytes + size > self._room // 2:
            self._give_up_stale()
            if self._unread_bytes + size > self._room // 2:
                return False
        self._unread[key] = (size, self._clock())
        self._unread_bytes += size
        self._flight(key, size, fetch)
        return True

    def kept(self, key: Key) -> bytes | None:
        """Return a unit; None if it has to be waited for."""
        self._asked_for(key)
        return self._used.get(key)

    async def close(self) -> None:
        """Stop all fetches."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _flight(self, key: Key, size: int, fetch: Fetch) -> "asyncio.Task[bytes]":
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fetch(key, size, fetch))
            self._flights[key] = flight
            flight.add_done_callback(_look_at)
        return flight

    async def _fetch(self, key: Key, size: int, fetch: Fetch) -> bytes:
        try:
            await self._take(size)
            try:
                data = await fetch()
            except BaseException:
                await self._give(size)
                raise
            (self._early if key in self._unread else self._used)[key] = data
            await self._give(size - len(data))
            return data
        finally:
            del self._flights[key]
            if key not in self._early:
                self._asked_for(key)

    def _asked_for(self, key: Key) -> None:
        """Count a unit no longer as one that nobody has asked for: somebody has, or it is gone."""
        size, _ = self._unread.pop(key, (0, 0.0))
        self._unread_bytes -= size
        if (data := self._early.pop(key, None)) is not None:
            self._used[key] = data

    def _give_up_stale(self) -> None:
        """Let what was brought in vain be the first to go."""
        while self._unread:
            key, (_, since) = next(iter(self._unread.items()))
            if self._clock() - since < _STALE_S:
                return
            self._asked_for(key)
            if key in self._used:
                self._used.move_to_end(key, last=False)

    async def _take(self, size: int) -> None:
        async with self._freed:
            while self._taken and self._taken + size > self._room:
                if self._used:
                    self._taken -= len(self._used.popitem(last=False)[1])
                elif self._early:
                    self._asked_for(next(iter(self._early)))
                else:
                    await self._freed.wait()
            self._taken += size

    async def _give(self, size: int) -> None:
        async with self._freed:
            self._taken -= size
            self._freed.notify_all()


def _look_at(flight: "asyncio.Task[bytes]") -> None:
    """Read-ahead that failed is nobody's error: who asks for the unit later fetches it again."""
    if not flight.cancelled():
        flight.exception()
