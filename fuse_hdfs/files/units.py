"""Units of segments and of plain files, fetched once, verified, kept while there is room.

Race-free: one event loop's thread. A fetch is registered before the first await, so that whoever
wants the same unit joins it. Units never change, so nothing is ever made invalid: a key names a
segment, or a plain file by its identity. Room is taken before a fetch and given back when its unit
leaves the cache; what is being fetched and what is kept together stay within `room`, but for a
single unit larger than that.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Key: TypeAlias = tuple[str, int]
"""Segment or identity of a plain file, and number of the unit."""
Fetch: TypeAlias = Callable[[], Awaitable[bytes]]


class UnitCache:
    """Bounded by bytes. What was read to its end goes first, then what is there longest: what was
    used is older than what was brought ahead."""

    def __init__(self, room: int) -> None:
        """`room`: bytes."""
        self._room = room
        self._taken = 0
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._left: dict[Key, int] = {}
        """Of what is kept: bytes that nobody has read. Less than 0 if some were read twice."""
        self._spent: OrderedDict[Key, None] = OrderedDict()
        """What is kept and has nothing left."""
        self._unread: dict[Key, int] = {}
        """Bytes of what was brought and nobody has asked for."""
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
        if key in self._kept or key in self._flights:
            return True
        if self._unread_bytes + size > self._room // 2:
            return False
        self._unread[key] = size
        self._unread_bytes += size
        self._flight(key, size, fetch)
        return True

    def kept(self, key: Key) -> bytes | None:
        """Return a unit; None if it has to be waited for."""
        self._asked_for(key)
        return self._kept.get(key)

    def used(self, key: Key, size: int) -> None:
        """Take note that bytes of a unit were read; the kernel has them now, or a program."""
        left = self._left.get(key)
        if left is not None:
            self._left[key] = left - size
            if left - size <= 0:
                self._spent[key] = None

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
            self._kept[key] = data
            self._left[key] = len(data)
            await self._give(size - len(data))
            return data
        finally:
            del self._flights[key]
            if key not in self._kept:
                self._asked_for(key)

    def _asked_for(self, key: Key) -> None:
        """Count a unit no longer as one that nobody has asked for: somebody has, or it is gone."""
        self._unread_bytes -= self._unread.pop(key, 0)

    async def _take(self, size: int) -> None:
        async with self._freed:
            while self._taken and self._taken + size > self._room:
                if self._kept:
                    self._drop(next(iter(self._spent or self._kept)))
                else:
                    await self._freed.wait()
            self._taken += size

    def _drop(self, key: Key) -> None:
        self._taken -= len(self._kept.pop(key))
        del self._left[key]
        self._spent.pop(key, None)
        self._asked_for(key)

    async def _give(self, size: int) -> None:
        async with self._freed:
            self._taken -= size
            self._freed.notify_all()


def _look_at(flight: "asyncio.Task[bytes]") -> None:
    """Read-ahead that failed is nobody's error: who asks for the unit later fetches it again."""
    if not flight.cancelled():
        flight.exception()
