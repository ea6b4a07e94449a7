"""Inflate windows, fetched as they are needed: a start reads a few, not the whole blob.

One `Windows` a layer; all share one memory-bounded cache. Windows of neighbouring chunks lie side
by side, so a miss brings a whole group (a page of the windows blob) in one request, and a miss
right behind the one before brings twice as many groups as that one did.

Race-free because the event loop alone touches the cache and the table of flights, and a flight is
registered for all of its groups before the first await. A group that never arrives is forgotten
and asked for again.
"""

import asyncio
from typing import Final

from cachetools import LRUCache

from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.ports import MirroredSource

GROUP: Final = 64 << 10
"""Bytes of the windows blob that one request brings at least."""

_MOST: Final = 8
"""Most groups that are fetched because those before them were."""

Cache = LRUCache[tuple[str, int], bytes]


def new_cache(size: int = 16 << 20) -> Cache:
    """Return a cache of window groups for all layers; `size` in bytes."""
    return LRUCache(maxsize=size, getsizeof=len)


class Windows:
    """The windows of one layer's chunks, still compressed, not verified (the chunk will be)."""

    def __init__(self, digest: str, chunks: ChunkMap, source: MirroredSource, cache: Cache) -> None:
        self._digest = digest
        self._chunks = chunks
        self._source = source
        self._cache = cache
        self._flights: dict[int, asyncio.Task[dict[int, bytes]]] = {}
        self._follows = (-1, 1)  # the group behind the last miss, and how many groups that brought

    async def get_all(self, low: int, high: int) -> list[bytes]:
        """Return the windows of chunks `[low, high)` as the windows blob holds them.

        They are empty where a chunk needs none.
        """
        places = [self._chunks.window(chunk) for chunk in range(low, high)]
        groups = _groups(places[0][0], places[-1][1])
        self._ask_for(groups)
        blob = b"".join([await self._group(group) for group in groups])
        origin = groups.start * GROUP
        return [blob[start - origin : end - origin] for start, end in places]

    async def doubt(self, chunk: int) -> None:
        """Fetch the chunk's window anew next time: the chunk came out wrong, perhaps through it."""
        await self._source.doubt(self._digest)
        for group in _groups(*self._chunks.window(chunk)):
            self._cache.pop((self._digest, group), None)

    def _ask_for(self, groups: range) -> None:
        """Launch a request for each row of groups that are neither here nor coming."""
        missing = [group for group in groups if self._absent(group)]
        while missing:
            low = missing.pop(0)
            high = low + 1
            while missing and missing[0] == high:
                high = missing.pop(0) + 1
            expected, brought = self._follows
            if low == expected:
                most = min(low + min(2 * brought, _MOST), -(-self._chunks.windows_size // GROUP))
                while high < most and self._absent(high):
                    high += 1
            self._follows = (high, high - low)
            self._launch(low, high)

    def _absent(self, group: int) -> bool:
        return (self._digest, group) not in self._cache and group not in self._flights

    async def _group(self, group: int) -> bytes:
        cached = self._cache.get((self._digest, group))
        if cached is not None:
            return cached
        flight = self._flights.get(group) or self._launch(group, group + 1)
        return (await asyncio.shield(flight))[group]

    def _launch(self, low: int, high: int) -> "asyncio.Task[dict[int, bytes]]":
        flight = asyncio.create_task(self._fetch(low, high))
        self._flights.update(dict.fromkeys(range(low, high), flight))
        flight.add_done_callback(lambda done: self._land(low, high, done))
        return flight

    def _land(self, low: int, high: int, flight: "asyncio.Task[dict[int, bytes]]") -> None:
        for group in range(low, high):
            del self._flights[group]
        if not flight.cancelled():
            flight.exception()  # retrieved: whoever waited has it, nobody else needs it

    async def _fetch(self, low: int, high: int) -> dict[int, bytes]:
        start = low * GROUP
        length = min(high * GROUP, self._chunks.windows_size) - start
        data = await self._source.read(self._digest, start, length)
        pieces = {
            low + number: data[at : at + GROUP] for number, at in enumerate(range(0, length, GROUP))
        }
        for group, piece in pieces.items():
            if len(piece) <= self._cache.maxsize:
                self._cache[self._digest, group] = piece
        return pieces


def _groups(start: int, end: int) -> range:
    """Return the groups that bytes `[start, end)` of the windows blob lie in."""
    return range(start // GROUP, (end + GROUP - 1) // GROUP) if start < end else range(0)
