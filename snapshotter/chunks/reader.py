"""Reads of one layer's data area: from the cache file, else fetched, verified and kept.

A read walks: chunks it covers -> all present? pread -> else join or start flights -> pread.

Concurrency
    Everything here runs in the event loop but decoding and file I/O, which run in worker threads
    on arguments of their own. `_flights` maps a chunk to the future that all who want it await. A
    chunk enters `_flights` before the first await of its fetch and leaves it when its future is
    done; it is marked present, without an await between, just before the future is set. Hence a
    chunk is fetched by one task at a time, and whoever finds neither a mark nor a flight may start
    one. Adding an await between the look-up and the entry in `_demand` or `_look_ahead` would
    break this.
    A reader that is cancelled does not cancel the fetch: others may be waiting for it.
    A read whose chunks are at hand in the page cache awaits nothing between look-up and answer.
    Every other read claims its chunks (`claims`) before it awaits anything: `evict` leaves them.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

from cachetools import LRUCache

from bootseer.errors import BootseerError, CorruptError, HostError, first_error
from snapshotter.chunks.ahead import Ahead
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.claims import Claims
from snapshotter.chunks.filler import Filler
from snapshotter.chunks.reads import Source
from snapshotter.chunks.room import DiskRoom
from snapshotter.chunks.windows import Windows
from snapshotter.ports import MirroredSource
from snapshotter.tracing.spans import OFF, Tracer

log = logging.getLogger(__name__)

_FAILURE_KEPT_S: Final = 2.0
"""A chunk that failed is not asked for again for so long: the kernel retries page by page."""
_BATCH: Final = 8
"""Most chunks that one job of a worker thread decodes: a hop between threads costs as much as a
small chunk."""
_UNCACHED_BYTES: Final = 16 << 20
"""Chunks that the disk would not take are kept in memory up to so many bytes a layer."""

Spawn = Callable[[Coroutine[Any, Any, None]], object]
Data: TypeAlias = bytes | memoryview
_Futures: TypeAlias = dict[int, asyncio.Future[bytes | None]]
"""By chunk: None once it is in the cache file, its bytes if the disk would not take them."""


class Decode(Protocol):
    """Turns a chunk's compressed bytes into verified bytes of the data area."""

    def __call__(self, chunk: int, compressed: bytes | memoryview, window: bytes) -> Data:
        """Raise `CorruptError` naming layer and offset if the bytes are not the index's."""
        ...


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How fetches are cut and how many run. Sizes in bytes of the compressed blob."""

    demand_run: int = 2 << 20
    """Most bytes that one demand request brings."""
    idle_run: int = 256 << 10
    """Most bytes that one request of the filler brings."""
    ahead_run: int = 1 << 20
    """Most bytes that one read-ahead request brings, at the beginning of a run."""
    ahead_run_most: int = 4 << 20
    """The same in a long run: a request costs a registry as much as megabytes do."""
    ahead_least: int = 256 << 10
    """Bytes of the data area read in order before any are fetched ahead."""
    ahead_most: int = 32 << 20
    """Most bytes of the data area that are fetched ahead of a run."""
    ahead_flights: int = 6
    """Read-ahead requests of one layer under way at once."""

    def ahead_request(self, window: int) -> int:
        """Return the most bytes of a read-ahead request for `window` bytes of the data area.

        A quarter of the data, which is about half of what that takes compressed: more than one
        request shares a window, or the reader would wait for each.
        """
        return max(self.ahead_run, min(window // 4, self.ahead_run_most))


class Purpose(StrEnum):
    """Why chunks are fetched."""

    DEMAND = "demand"
    """Somebody reads them."""
    AHEAD = "ahead"
    """Behind what somebody reads in order."""
    IDLE = "idle"
    """Behind the last miss, while the link has room."""
    PREFETCH = "prefetch"
    """They hold hot blocks."""
    FILL = "fill"
    """Nobody has read them yet, and all of the layer is to be local."""


@dataclass(slots=True)
class Counters:
    """What a layer's reads cost so far, those of the daemon itself included."""

    reads: int = 0
    hits: int = 0
    """Reads whose chunks were all there."""
    demand_misses: int = 0
    """Chunks that were fetched because of a read."""
    joined: int = 0
    """Chunks that a read waited for which were on their way already."""
    fetches: int = 0
    """Requests."""
    fetched: dict[Purpose, int] = field(default_factory=lambda: dict.fromkeys(Purpose, 0))
    """Compressed bytes, by what they were fetched for."""
    failures: int = 0
    """Chunks that could not be had."""


@dataclass(slots=True)
class _Failure:
    error: BootseerError
    until: float


@dataclass(slots=True)
class Services:
    """What a reader shares with the other layers' readers."""

    executor: Executor
    """Threads that decode and write; as many as cores."""
    spawn: Spawn
    """Starts a task in the daemon's task group."""
    filler: Filler
    """Uses what demands leave of the link."""
    policy: FetchPolicy = field(default_factory=FetchPolicy)
    room: DiskRoom = field(default_factory=DiskRoom)
    """Says it when the disk is full."""
    tracer: Tracer = OFF
    """Records what readers waited for."""


class LayerReader:
    """Serves byte ranges of one layer's data area."""

    def __init__(
        self,
        digest: str,
        chunks: ChunkMap,
        cache: CacheFile,
        source: MirroredSource,
        windows: Windows,
        decode: Decode,
        services: Services,
    ) -> None:
        """Tie the parts of a layer together; `digest` is the layer's, as the source knows it."""
        self.digest = digest
        self.counters = Counters()
        self._chunks = chunks
        self._cache = cache
        self._presence = cache.presence
        self._source = source
        self._windows = windows
        self._decode = decode
        self._services = services
        self._ahead = Ahead(least=services.policy.ahead_least, most=services.policy.ahead_most)
        self._ahead_running = 0
        self._flights: _Futures = {}
        self._failures: dict[int, _Failure] = {}
        self._claims = Claims()
        self._uncached: LRUCache[int, bytes] = LRUCache(_UNCACHED_BYTES, getsizeof=len)

    @property
    def size(self) -> int:
        """Bytes of the data area."""
        return self._chunks.size

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

    def read_now(self, offset: int, length: int) -> bytes | bytearray | None:
        """Return what `read` would, if all of it is in the page cache of the cache file; else None.

        Most reads are answered so, without a task that waits.
        """
        low, high = self._chunks.covering(offset, length)
        if low == high or self._presence.first_missing(low, high) >= 0:
            return None
        length = min(length, self.size - offset)
        data = self._cache.read_nowait(offset, length)
        if data is None:
            return None
        self.counters.reads += 1
        self.counters.hits += 1
        if window := self._ahead.touch(offset, length):
            self._look_ahead(high, offset + length, window)
        return data

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
            if (data := self._cache.read_nowait(offset, length)) is not None:
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
                if (data := self._cache.read_nowait(offset, length)) is not None:
                    return data, source
            return await self._blocking(self._cache.read, offset, length), source

    async def fetch_all(self) -> None:
        """Bring in every chunk that is missing, those without file data too."""
        position = 0
        while (low := self._presence.first_missing(position, len(self._chunks))) >= 0:
            high = self._chunks.reach(low, self._services.policy.demand_run)
            await self.prefetch(low, high, Purpose.FILL)
            position = high

    def holding(self) -> AbstractContextManager[None]:
        """Have nothing evicted while the context is open."""
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

    @property
    def is_fetching(self) -> bool:
        """Whether a fetch is under way."""
        return bool(self._flights)

    async def drain(self) -> None:
        """Wait until no fetch is under way. The caller makes sure that nobody reads any more."""
        while self._flights:
            await asyncio.wait(self._flights.values())

    async def prefetch(self, low: int, high: int, purpose: Purpose = Purpose.PREFETCH) -> None:
        """Fetch those of chunks `[low, high)` that are neither here nor coming, and wait for all.

        Raises:
            CorruptError, RemoteError, NotFoundError: as `read`.
        """
        for run in self._adjacent([chunk for chunk in range(low, high) if self._absent(chunk)]):
            for start, end in self._chunks.runs(*run, self._services.policy.demand_run):
                self._launch(start, end, purpose)
        await self._landed([chunk for chunk in range(low, high) if chunk in self._flights])

    async def _demand(
        self, low: int, high: int, *, alone: bool = False
    ) -> tuple[Source, dict[int, bytes]]:
        """Wait until chunks `[low, high)` were fetched.

        Returns what they had to wait for, and those that the disk would not take.
        """
        await self._claims.settled(low, high)
        wanted = [chunk for chunk in range(low, high) if chunk not in self._presence]
        self._raise_recent(wanted)
        fresh = [c for c in wanted if c not in self._flights and c not in self._uncached]
        for run in self._adjacent(fresh):
            for start, end in self._chunks.runs(*run, self._services.policy.demand_run):
                self.counters.demand_misses += end - start
                self._launch(start, end, Purpose.DEMAND)
        flying = any(chunk in self._flights for chunk in wanted)
        source = Source.DEMAND if fresh else Source.JOINED if flying else Source.CACHE
        self.counters.joined += len(wanted) - len(fresh)
        if not alone:
            self._services.filler.missed(self, high)
        return source, await self._landed(wanted)

    async def _landed(self, wanted: list[int]) -> dict[int, bytes]:
        """Wait for flights; return the chunks that the disk would not take."""
        # Both before the first await: what lands meanwhile may leave `_uncached` again.
        loose = {chunk: self._uncached[chunk] for chunk in wanted if chunk in self._uncached}
        flights = [(c, self._flights[c]) for c in wanted if c in self._flights]
        for chunk, flight in flights:
            data = await asyncio.shield(flight)
            if data is not None:
                loose[chunk] = data
        return loose

    def next_missing(self, chunk: int, reach: int) -> tuple[int, int] | None:
        """Return the next run of chunks, within `reach` of `chunk`, that are neither here nor
        coming, as far as one request goes."""
        if chunk >= len(self._chunks):
            return None
        end = self._chunks.reach(chunk, reach)
        low = next((c for c in range(chunk, end) if self._absent(c)), None)
        if low is None:
            return None
        end = min(end, self._chunks.reach(low, self._services.policy.idle_run))
        return low, next((c for c in range(low, end) if not self._absent(c)), end)

    def _absent(self, chunk: int) -> bool:
        """Say whether a chunk is neither here nor coming."""
        here = chunk in self._presence or chunk in self._flights or chunk in self._uncached
        return not here and not self._claims.is_leaving(chunk)

    def fetch_idle(self, low: int, high: int) -> Awaitable[object]:
        """Start to fetch chunks `[low, high)` that nobody asked for."""
        self._launch(low, high, Purpose.IDLE)
        return asyncio.wait([self._flights[chunk] for chunk in range(low, high)])

    def _raise_recent(self, wanted: list[int]) -> None:
        now = time.monotonic()
        for chunk in wanted:
            failure = self._failures.get(chunk)
            if failure is not None and failure.until > now:
                raise failure.error
            self._failures.pop(chunk, None)

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
                self._launch(start, stop, Purpose.AHEAD, self._ahead_landed)

    def _ahead_landed(self) -> None:
        self._ahead_running -= 1

    def _launch(
        self, low: int, high: int, purpose: Purpose, landed: Callable[[], None] | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        mine: _Futures = {chunk: loop.create_future() for chunk in range(low, high)}
        self._flights.update(mine)
        self._services.spawn(self._fly(low, high, mine, purpose, landed))

    async def _fly(
        self,
        low: int,
        high: int,
        mine: _Futures,
        purpose: Purpose,
        landed: Callable[[], None] | None,
    ) -> None:
        """Fetch chunks `[low, high)` and settle their futures, whatever happens."""
        start, end = self._chunks.blob(low, high)
        try:
            with self._services.tracer.span(
                "layer.fetch",
                layer=self.digest,
                purpose=purpose.value,
                offset=start,
                bytes=end - start,
            ):
                await self._fetch(low, high, mine, purpose)
        except CorruptError as first:
            log.warning("chunk.corrupt_retrying", extra={"fields": {"reason": first.message}})
            await self._second_try(low, high, mine, purpose)
        except (BootseerError, OSError, TimeoutError) as error:
            self._fail(list(mine), mine, error)
        finally:
            self._abandon(mine)
            if landed:
                landed()

    async def _second_try(self, low: int, high: int, mine: _Futures, purpose: Purpose) -> None:
        """Fetch once more, chunk by chunk, so that one bad chunk does not spoil its neighbours.

        And from elsewhere where there is an elsewhere: a mirror's copy may have gone bad.
        """
        for chunk in range(low, high):
            if chunk not in mine:
                continue
            try:
                await self._source.doubt(self.digest)
                await self._windows.doubt(chunk)
                await self._fetch(chunk, chunk + 1, mine, purpose)
            except (BootseerError, OSError, TimeoutError) as error:
                self._fail([chunk], mine, error)

    async def _fetch(self, low: int, high: int, mine: _Futures, purpose: Purpose) -> None:
        """Fetch chunks `[low, high)` and keep each; raise the first thing that goes wrong."""
        start, end = self._chunks.blob(low, high)
        self.counters.fetches += 1
        try:
            async with asyncio.TaskGroup() as group:
                windows = group.create_task(self._windows.get_all(low, high))
                body = memoryview(await self._source.read(self.digest, start, end - start))
                self.counters.fetched[purpose] += len(body)
                found = await windows
                for first, last in _batches(low, high):
                    parts = found[first - low : last - low]
                    group.create_task(self._keep(first, mine, body, start, parts))
        except ExceptionGroup as errors:
            raise first_error(errors) from None

    async def _keep(
        self, low: int, mine: _Futures, body: memoryview, origin: int, windows: list[bytes]
    ) -> None:
        """Decode neighbouring chunks from `low` on, verify, write, mark, wake who waits."""
        chunks = range(low, low + len(windows))
        if not any(chunk in mine for chunk in chunks):
            return
        data, kept = await self._blocking(self._decode_and_write, low, body, origin, windows)
        if kept:
            self._cache.mark(chunks)
        for chunk, view in zip(chunks, data, strict=True):
            piece = None if kept else bytes(view)
            if piece is not None and len(piece) <= _UNCACHED_BYTES:
                self._uncached[chunk] = piece
            if future := self._landing(chunk, mine):
                future.set_result(piece)

    def _decode_and_write(
        self, low: int, body: memoryview, origin: int, windows: list[bytes]
    ) -> tuple[list[Data], bool]:
        """Decode chunks from `low` on out of `body`, which starts at `origin` of the blob.

        Returns the chunks' data, and whether it is in the cache file now (a worker thread's job).
        """
        data: list[Data] = []
        for chunk, window in enumerate(windows, low):
            start, end = self._chunks.blob(chunk, chunk + 1)
            data.append(self._decode(chunk, body[start - origin : end - origin], window))
        if not self._services.room.takes:
            return data, False
        start, end = self._chunks.blob(low, low + len(windows))
        try:
            self._cache.write_pieces(self._chunks.data(low)[0], data)
            self._cache.write_blob(start, body[start - origin : end - origin])
        except OSError as error:
            if not self._services.room.refused(error):
                raise
            return data, False
        self._services.room.taken()
        return data, True

    def _landing(self, chunk: int, mine: _Futures) -> asyncio.Future[bytes | None] | None:
        """Take a chunk's future out of the tables, to be settled at once; None if it has been.

        A fetch touches its own futures only: a chunk of it that landed and was not kept may be in
        another's flight by now.
        """
        future = mine.pop(chunk, None)
        if future is not None:
            del self._flights[chunk]
        return future

    def _fail(self, chunks: list[int], mine: _Futures, error: Exception) -> None:
        if not chunks:
            return
        known = error if isinstance(error, BootseerError) else CorruptError(f"{error!r}")
        fields = {
            "layer": self.digest,
            "offset": self._chunks.blob_start(chunks[0]),
            "reason": str(error),
        }
        log.error("chunk.unreadable", extra={"fields": fields})
        until = time.monotonic() + _FAILURE_KEPT_S
        for chunk in chunks:
            if future := self._landing(chunk, mine):
                self.counters.failures += 1
                self._failures[chunk] = _Failure(known, until)
                future.set_exception(known)
                future.exception()  # retrieved: nobody may be waiting for a read-ahead

    def _abandon(self, mine: _Futures) -> None:
        """Cancelled or a bug: whoever waits must not wait for ever, nor look cancelled himself."""
        for chunk in list(mine):
            if future := self._landing(chunk, mine):
                future.set_exception(HostError(f"layer {self.digest}: a fetch was given up"))
                future.exception()  # retrieved: nobody may be waiting

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
                pieces.append(await self._blocking(self._cache.read, first, last - first))
        return b"".join(pieces)

    async def _blocking(self, function: Callable[..., Any], *arguments: object) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._services.executor, function, *arguments)


def _batches(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Cut chunks `[low, high)` into jobs for worker threads: few, but enough for all of them."""
    size = max(1, min(_BATCH, (high - low) // 2))
    for first in range(low, high, size):
        yield first, min(first + size, high)
