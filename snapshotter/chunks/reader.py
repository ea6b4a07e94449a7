"""Reads of one layer's data area: from the cache file, else fetched, verified and kept.

A read walks: chunks it covers -> all present? pread -> else join or start flights -> pread.

Concurrency
    Everything here runs in the event loop but file I/O. Chunks on their way are `flights`': there
    must be no await between finding that a chunk is neither here nor flying and its launch.
    A read whose chunks are at hand in memory awaits nothing between look-up and answer.
    Every other read claims its chunks (`claims`) before it awaits anything: `evict` leaves them.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager

from snapshotter.chunks.ahead import Ahead
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.claims import Claims
from snapshotter.chunks.fetching import Counters, Purpose
from snapshotter.chunks.flights import Flights
from snapshotter.chunks.reads import Source
from snapshotter.chunks.turns import always


class LayerReader:
    """Serves byte ranges of one layer's data area."""

    def __init__(self, flights: Flights) -> None:
        """`flights`: what is fetched goes by them."""
        self.digest = flights.digest
        self._chunks = flights.chunks
        self._cache = flights.cache
        self._presence = flights.cache.presence
        self._services = services = flights.services
        self._flights = flights
        self._ahead = Ahead(least=services.policy.ahead_least, most=services.policy.ahead_most)
        self._ahead_running = 0
        self._claims = Claims()

    @property
    def size(self) -> int:
        """Bytes of the data area."""
        return self._chunks.size

    @property
    def counters(self) -> Counters:
        """What reads cost so far."""
        return self._flights.counters

    @property
    def cache(self) -> CacheFile:
        """The layer's files."""
        return self._cache

    @property
    def chunks(self) -> ChunkMap:
        """The layer's chunk arithmetic."""
        return self._chunks

    @property
    def local_bytes(self) -> int:
        """Bytes of the data area that are on this node."""
        if not self._presence.missing:
            return self.size
        here = (chunk for chunk in range(len(self._chunks)) if chunk in self._presence)
        return sum(end - start for start, end in map(self._chunks.data, here))

    @property
    def flying(self) -> int:
        """Chunks that are being fetched (a count)."""
        return len(self._flights)

    async def read(self, offset: int, length: int, *, alone: bool = False) -> bytes | bytearray:
        """Return bytes of the data area; short only at its end.

        `alone`: nothing is fetched beside what is asked for.

        Raises:
            CorruptError: the registry's bytes are not those of the index.
            RemoteError, NotFoundError: the registry cannot give them.
        """
        return (await self.fetch(offset, length, alone=alone))[0]

    def read_now(
        self, offset: int, length: int, *, noticed: bool = True
    ) -> bytes | bytearray | None:
        """Return what `read` would, if all of it is in memory; else None.

        Most reads are answered so, without a task that waits. Not `noticed`: nothing is fetched
        because of it.
        """
        low, high = self._chunks.covering(offset, length)
        if low == high or self._presence.first_missing(low, high) >= 0:
            return None
        length = min(length, self.size - offset)
        data = self._at_hand(offset, length)
        if data is None:
            return None
        self.counters.reads += 1
        self.counters.hits += 1
        if noticed and (window := self._ahead.touch(offset, length)):
            self._look_ahead(high, offset + length, window)
        return data

    def _at_hand(self, offset: int, length: int) -> bytes | bytearray | None:
        """Return bytes that are in memory, or None."""
        fresh = self._flights.shelf.get(offset, length)
        return self._cache.read_nowait(offset, length) if fresh is None else fresh

    def in_order(self, end: int) -> bool:
        """Say whether the last read up to `end` was one of many in order: they are fetched ahead of
        who reads them."""
        return self._ahead.is_run(end)

    async def fetch(
        self, offset: int, length: int, *, alone: bool = False
    ) -> tuple[bytes | bytearray, Source]:
        """Do what `read` does; say as well what the bytes had to wait for."""
        self.counters.reads += 1
        low, high = self._chunks.covering(offset, length)
        length = min(length, self.size - offset)
        if low == high:
            return b"", Source.CACHE
        missing = self._presence.first_missing(low, high) >= 0
        if not alone and (window := self._ahead.touch(offset, length)):
            self._look_ahead(high, offset + length, window)
        if not missing:
            self.counters.hits += 1
            if (data := self._at_hand(offset, length)) is not None:
                return data, Source.CACHE
        source = Source.CACHE
        with self._claims.reading(low, high):
            if missing:
                tracer = self._services.tracer
                with tracer.span("layer.miss", layer=self.digest, offset=offset) as span:
                    source, loose = await self._demand(low, high, alone=alone)
                    span.note({"source": source.value, "bytes": length})
                if loose:
                    return await self._assemble(offset, length, low, high, loose), source
                if (data := self._at_hand(offset, length)) is not None:
                    return data, source
            return await self._services.threads.run(
                always, self._cache.read, offset, length
            ), source

    async def fetch_all(self) -> None:
        """Bring in every chunk that is missing, those without file data too."""
        position = 0
        while (low := self._presence.first_missing(position, len(self._chunks))) >= 0:
            high = self._chunks.reach(low, self._services.policy.demand_run)
            await self.prefetch(low, high, Purpose.FILL)
            position = high

    def holding(self) -> AbstractContextManager[None]:
        """Have nothing evicted, and the layer left open, while the context is open."""
        return self._claims.reading(0, len(self._chunks))

    async def evict(self, wanted: int) -> int:
        """Give the space of at least `wanted` bytes of cached chunks back, or of all that can be.

        Nothing that is being read. Returns the bytes of the data area that are not cached any more,
        and finishes also when it is cancelled. OSError if the disk refuses.
        """
        chosen, size = [], 0
        for chunk in range(len(self._chunks)):
            if size >= wanted:
                break
            if chunk in self._presence and not self._claims.is_read(chunk):
                chosen.append(chunk)
                start, end = self._chunks.data(chunk)
                size += end - start
        if chosen:
            await asyncio.shield(asyncio.create_task(self._give_up(chosen)))
        return size

    async def _give_up(self, chosen: list[int]) -> None:
        with self._claims.leaving(chosen):
            for chunk in chosen:
                self._presence.discard(chunk)
            runs = self._adjacent(chosen)
            data = [
                (self._chunks.data(low)[0], self._chunks.data(high - 1)[1]) for low, high in runs
            ]
            blob = [self._chunks.own_blob(low, high) for low, high in runs]
            await self._cache.give_up(data, blob)

    def distrust(self, chunks: Iterable[int]) -> None:
        """Fetch these chunks again when they are wanted: what is cached of them is wrong."""
        for chunk in chunks:
            self._presence.discard(chunk)
        self._cache.mark(())

    def close(self) -> None:
        """Close the layer's files. The caller has flushed them, and nobody reads any more."""
        self._flights.shelf.clear()
        self._cache.close()

    @property
    def is_busy(self) -> bool:
        """Whether a fetch is under way, or somebody reads or holds chunks."""
        return bool(self._flights) or bool(self._claims)

    async def drain(self) -> None:
        """Wait until no fetch is under way. The caller makes sure that nobody reads any more."""
        await self._flights.drain()

    async def prefetch(self, low: int, high: int, purpose: Purpose = Purpose.PREFETCH) -> None:
        """Fetch those of chunks `[low, high)` that are neither here nor coming, and wait for all.

        Raises:
            CorruptError, RemoteError, NotFoundError: as `read`.
        """
        for run in self._adjacent([chunk for chunk in range(low, high) if self._absent(chunk)]):
            for start, end in self._chunks.runs(*run, self._services.policy.demand_run):
                self._flights.launch(start, end, purpose)
        await self._flights.landed([chunk for chunk in range(low, high) if chunk in self._flights])

    async def _demand(
        self, low: int, high: int, *, alone: bool = False
    ) -> tuple[Source, dict[int, bytes]]:
        """Wait until chunks `[low, high)` were fetched.

        Returns what they had to wait for, and those that the disk would not take.
        """
        await self._claims.settled(low, high)
        wanted = [chunk for chunk in range(low, high) if chunk not in self._presence]
        self._flights.raise_recent(wanted)
        fresh = [c for c in wanted if c not in self._flights and not self._flights.is_loose(c)]
        for run in self._adjacent(fresh):
            for start, end in self._chunks.runs(*run, self._services.policy.demand_run):
                self.counters.demand_misses += end - start
                # Only the last request of a run: behind the others lies what the next one brings.
                behind = end if alone or end < run[1] else self._behind(end)
                self._flights.launch(start, behind, Purpose.DEMAND, wanted=end)
            if not alone and (before := self._before(run[0])) < run[0]:
                self._flights.launch(before, run[0], Purpose.IDLE)
        flying = any(chunk in self._flights for chunk in wanted)
        source = Source.DEMAND if fresh else Source.JOINED if flying else Source.CACHE
        self.counters.joined += len(wanted) - len(fresh)
        self._flights.hurry(wanted)
        return source, await self._flights.landed(wanted)

    async def bring(self, start: int, length: int) -> None:
        """Fetch what of `[start, start + length)` is missing: it is likely to be read soon.

        Raises:
            CorruptError, RemoteError, NotFoundError: as `read`.
        """
        await self.prefetch(*self._chunks.covering(start, length), Purpose.LINKED)

    def _behind(self, chunk: int) -> int:
        """Return the end of what a request for the chunks before this one brings along."""
        if not self._services.policy.idle or chunk >= len(self._chunks):
            return chunk
        end = self._chunks.reach(chunk, self._services.policy.idle)
        return next((c for c in range(chunk, end) if not self._absent(c)), end)

    def _before(self, chunk: int) -> int:
        """Return the start of what is brought along from in front of a chunk."""
        if not self._services.policy.before:
            return chunk
        start = self._chunks.reach_back(chunk, self._services.policy.before)
        return next((c + 1 for c in reversed(range(start, chunk)) if not self._absent(c)), start)

    def _absent(self, chunk: int) -> bool:
        """Say whether a chunk is neither here nor coming."""
        here = chunk in self._presence or chunk in self._flights or self._flights.is_loose(chunk)
        return not here and not self._claims.is_leaving(chunk)

    @staticmethod
    def _adjacent(chunks: list[int]) -> list[tuple[int, int]]:
        runs: list[tuple[int, int]] = []
        for chunk in chunks:
            if runs and runs[-1][1] == chunk:
                runs[-1] = (runs[-1][0], chunk + 1)
            else:
                runs.append((chunk, chunk + 1))
        return runs

    def _look_ahead(self, high: int, end: int, window: int) -> None:
        """Start fetches behind `high`, unless more than half the window is already on its way."""
        reach = self._chunks.covering(end, window)[1]
        fresh = [chunk for chunk in range(high, reach) if self._absent(chunk)]
        if not fresh or 2 * len(fresh) < reach - high:
            return
        request = self._services.policy.ahead_request(window)
        for run in self._adjacent(fresh):
            for start, stop in self._chunks.runs(*run, request):
                if self._ahead_running >= self._services.policy.ahead_flights:
                    return
                self._ahead_running += 1
                self._flights.launch(start, stop, Purpose.AHEAD, landed=self._ahead_landed)

    def _ahead_landed(self) -> None:
        self._ahead_running -= 1

    async def _assemble(
        self, offset: int, length: int, low: int, high: int, loose: dict[int, bytes]
    ) -> bytes:
        """Return a read some of whose chunks are not in the file because the disk is full."""
        end = offset + length
        pieces = []
        for chunk in range(low, high):
            start, stop = self._chunks.data(chunk)
            first, last = max(start, offset), min(stop, end)
            if chunk in loose:
                pieces.append(loose[chunk][first - start : last - start])
            else:
                piece = self._services.threads.run(always, self._cache.read, first, last - first)
                pieces.append(await piece)
        return b"".join(pieces)
