"""Inflate windows, fetched as they are needed: a start reads a few, not the whole blob.

One `Windows` a layer; all share one memory-bounded cache. Windows of neighbouring chunks lie side
by side, so a miss brings a whole group (a page of the windows blob) in one request.

Race-free because the event loop alone touches the cache and the table of flights, and a flight is
registered before the first await. A group that never arrives is forgotten and asked for again.
"""

import asyncio
from typing import Final

from cachetools import LRUCache

from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.ports import MirroredSource

GROUP: Final = 64 << 10
"""Bytes of the windows blob that one request brings at least."""

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
        self._flights: dict[int, asyncio.Task[bytes]] = {}

    async def get_all(self, low: int, high: int) -> list[bytes]:
        """Return the windows of chunks `[low, high)`."""
        return [await self.get(chunk) for chunk in range(low, high)]

    async def get(self, chunk: int) -> bytes:
        """Return the chunk's window as the windows blob holds it; empty where it needs none."""
        start, end = self._chunks.window(chunk)
        if start == end:
            return b""
        groups = _groups(start, end)
        pieces = [await self._group(group) for group in groups]
        origin = groups[0] * GROUP
        return b"".join(pieces)[start - origin : end - origin]

    async def doubt(self, chunk: int) -> None:
        """Fetch the chunk's window anew next time: the chunk came out wrong, perhaps through it."""
        await self._source.doubt(self._digest)
        for group in _groups(*self._chunks.window(chunk)):
            self._cache.pop((self._digest, group), None)

    async def _group(self, group: int) -> bytes:
        cached = self._cache.get((self._digest, group))
        if cached is not None:
            return cached
        flight = self._flights.get(group)
        if flight is None:
            flight = asyncio.create_task(self._fetch(group))
            self._flights[group] = flight
            flight.add_done_callback(lambda done: self._land(group, done))
        return await asyncio.shield(flight)

    def _land(self, group: int, flight: "asyncio.Task[bytes]") -> None:
        del self._flights[group]
        if not flight.cancelled():
            flight.exception()  # retrieved: whoever waited has it, nobody else needs it

    async def _fetch(self, group: int) -> bytes:
        start = group * GROUP
        length = min(GROUP, self._chunks.windows_size - start)
        data = await self._source.read(self._digest, start, length)
        if len(data) <= self._cache.maxsize:
            self._cache[self._digest, group] = data
        return data


def _groups(start: int, end: int) -> range:
    """Return the groups that bytes `[start, end)` of the windows blob lie in."""
    return range(start // GROUP, (end + GROUP - 1) // GROUP) if start < end else range(0)
