"""Chunks on their way: each fetched by one task at a time, decoded, verified, kept.

Concurrency
    Everything here runs in the event loop; chunks are made in worker threads (`maker`), which look
    whether one is in `_awaited` before they begin.
    `_flying` maps a chunk to the future that all who want it await. A chunk enters it in `launch`,
    before the first await of its fetch, and leaves it when its future is done; it is marked
    present, without an await between, just before the future is set. Hence whoever finds neither a
    mark nor a flight may launch one. An await between that look-up and `launch` would break this.
    A reader that is cancelled does not cancel the fetch: others may be waiting for it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from cachetools import LRUCache

from bootseer.errors import BootseerError, CorruptError, HostError, first_error
from snapshotter.chunks.carrier import Carrier, Cut, Run
from snapshotter.chunks.fetching import Counters, FetchPolicy, Purpose
from snapshotter.chunks.fresh import Fresh, Shelf
from snapshotter.chunks.maker import Maker
from snapshotter.chunks.room import DiskRoom
from snapshotter.chunks.turns import Turns
from snapshotter.tracing.spans import OFF, Tracer

log = logging.getLogger(__name__)

_FAILURE_KEPT_S: Final = 2.0
"""A chunk that failed is not asked for again for so long: the kernel retries page by page."""
_OF_READS: Final = frozenset({Purpose.DEMAND, Purpose.AHEAD, Purpose.IDLE})
_UNCACHED_BYTES: Final = 16 << 20
"""Chunks that the disk would not take are kept in memory up to so many bytes a layer."""

Spawn = Callable[[Coroutine[Any, Any, None]], object]
KeepHot: TypeAlias = Callable[[int, int], object]
"""(offset, length): has bytes that are here read into the kernel's page cache soon."""
_Futures: TypeAlias = dict[int, asyncio.Future[bytes | None]]
"""By chunk: None once it is in the cache file, its bytes if the disk would not take them."""


@dataclass(slots=True)
class _Failure:
    error: BootseerError
    until: float


@dataclass(slots=True)
class Services:
    """What the layers share."""

    threads: Turns
    """They decode and write; as many as cores."""
    spawn: Spawn
    """Starts a task in the daemon's task group."""
    policy: FetchPolicy = field(default_factory=FetchPolicy)
    room: DiskRoom = field(default_factory=DiskRoom)
    """Says it when the disk is full."""
    fresh: Fresh = field(default_factory=Fresh)
    """What came last."""
    tracer: Tracer = OFF
    """Records what readers waited for."""

    def near(self) -> "Services":
        """Return the same for blobs that are near: requests bring more."""
        around = self.policy.around_near
        return replace(self, policy=replace(self.policy, idle=around, before=around))


class Flights:
    """The fetches of one layer."""

    def __init__(
        self,
        digest: str,
        maker: Maker,
        carrier: Carrier,
        services: Services,
        *,
        keep_hot: KeepHot | None = None,
    ) -> None:
        """Tie the parts of a layer together; `digest` is the layer's.

        `carrier` brings what `maker` makes chunks of. `keep_hot` hears of all that came because of
        a read: bytes of the data area.
        """
        self.digest = digest
        self.counters = Counters()
        self.chunks = maker.chunks
        self.cache = maker.cache
        self.services = services
        self._maker = maker
        self._carrier = carrier
        self._keep_hot = keep_hot
        self.shelf = Shelf(self.services.fresh)
        """What came last and was written past the page cache."""
        self._flying: _Futures = {}
        self._awaited: set[int] = set()
        """Chunks on their way that somebody reads."""
        self._failures: dict[int, _Failure] = {}
        self._uncached: LRUCache[int, bytes] = LRUCache(_UNCACHED_BYTES, getsizeof=len)

    def __len__(self) -> int:
        return len(self._flying)

    def __contains__(self, chunk: int) -> bool:
        return chunk in self._flying

    def is_loose(self, chunk: int) -> bool:
        """Say whether a chunk is in memory, because the disk would not take it."""
        return chunk in self._uncached

    async def drain(self) -> None:
        """Wait until no fetch is under way. The caller makes sure that nobody reads any more."""
        while self._flying:
            await asyncio.wait(self._flying.values())

    async def landed(self, wanted: list[int]) -> dict[int, bytes]:
        """Wait for those of some chunks that are on their way.

        Returns the chunks that the disk would not take. Raises what their fetch raised.
        """
        # Both before the first await: what lands meanwhile may leave `_uncached` again.
        loose = {chunk: self._uncached[chunk] for chunk in wanted if chunk in self._uncached}
        flights = [(c, self._flying[c]) for c in wanted if c in self._flying]
        for chunk, flight in flights:
            data = await asyncio.shield(flight)
            if data is not None:
                loose[chunk] = data
        return loose

    def hurry(self, wanted: Sequence[int]) -> None:
        """Have those of some chunks that are on their way decoded before what nobody reads."""
        self._awaited.update(chunk for chunk in wanted if chunk in self._flying)

    def raise_recent(self, wanted: Sequence[int]) -> None:
        """Raise what a fetch of one of these chunks raised a moment ago."""
        now = time.monotonic()
        for chunk in wanted:
            failure = self._failures.get(chunk)
            if failure is not None and failure.until > now:
                raise failure.error
            self._failures.pop(chunk, None)

    def launch(
        self,
        low: int,
        high: int,
        purpose: Purpose,
        *,
        wanted: int | None = None,
        landed: Callable[[], None] | None = None,
    ) -> None:
        """Start to fetch chunks `[low, high)`, none of which is here or flying.

        Those from `wanted` on nobody waits for; `landed` is called when all of them are done.
        """
        loop = asyncio.get_running_loop()
        mine: _Futures = {chunk: loop.create_future() for chunk in range(low, high)}
        self._flying.update(mine)
        cut = high if wanted is None else wanted
        self.services.spawn(self._fly(Run(low, cut, high, purpose), mine, landed))

    async def _fly(self, run: Run, mine: _Futures, landed: Callable[[], None] | None) -> None:
        """Fetch chunks and settle their futures, whatever happens."""
        start, end = self.chunks.blob(run.low, run.high)
        try:
            with self.services.tracer.span(
                "layer.fetch",
                layer=self.digest,
                purpose=run.purpose.value,
                offset=start,
                bytes=end - start,
            ):
                await self._fetch(run, mine)
        except CorruptError as first:
            log.warning("chunk.corrupt_retrying", extra={"fields": {"reason": first.message}})
            await self._second_try(run, mine)
        except (BootseerError, OSError, TimeoutError) as error:
            self._fail(list(mine), mine, error)
        finally:
            self._abandon(mine)
            if landed:
                landed()

    async def _second_try(self, run: Run, mine: _Futures) -> None:
        """Fetch once more, chunk by chunk, so that one bad chunk does not spoil its neighbours.

        And from elsewhere where there is an elsewhere: a mirror's copy may have gone bad.
        """
        for chunk in range(run.low, run.high):
            if chunk not in mine:
                continue
            try:
                await self._carrier.doubt(chunk)
                await self._fetch(Run(chunk, chunk + 1, chunk + 1, run.purpose), mine)
            except (BootseerError, OSError, TimeoutError) as error:
                self._fail([chunk], mine, error)

    async def _fetch(self, run: Run, mine: _Futures) -> None:
        """Fetch chunks and keep each.

        Raises the first thing that goes wrong.
        """

        async def keep(low: int, cut: Cut, windows: list[bytes]) -> None:
            await self._keep(run, low, mine, cut, windows)

        self.counters.fetches += 1
        try:
            await self._carrier.carry(run, keep, self.counters.fetched)
        except ExceptionGroup as errors:
            raise first_error(errors) from None

    async def _keep(
        self, run: Run, low: int, mine: _Futures, cut: Cut, windows: list[bytes]
    ) -> None:
        """Have neighbouring chunks from `low` on made, mark them, wake who waits."""
        chunks = range(low, low + len(windows))
        if not any(chunk in mine for chunk in chunks):
            return
        made = await self._carrier.threads.run(
            lambda: not self._awaited.isdisjoint(chunks),
            *(self._maker.make, low, cut, windows),
        )
        start, end = self.chunks.data(low)[0], self.chunks.data(chunks[-1])[1]
        if made.kept:
            self.cache.mark(chunks)
            if made.fresh and run.purpose is not Purpose.FILL:
                self.shelf.put(start, made.fresh)
            if self._keep_hot and run.purpose in _OF_READS:
                self._keep_hot(start, end - start)
        for chunk, view in zip(chunks, made.chunks, strict=True):
            piece = None if made.kept else bytes(view)
            if piece is not None and len(piece) <= _UNCACHED_BYTES:
                self._uncached[chunk] = piece
            if future := self._landing(chunk, mine):
                future.set_result(piece)

    def _landing(self, chunk: int, mine: _Futures) -> asyncio.Future[bytes | None] | None:
        """Take a chunk's future out of the tables, to be settled at once; None if it has been.

        A fetch touches its own futures only: a chunk of it that landed and was not kept may be in
        another's flight by now.
        """
        future = mine.pop(chunk, None)
        if future is not None:
            del self._flying[chunk]
            self._awaited.discard(chunk)
        return future

    def _fail(self, chunks: list[int], mine: _Futures, error: Exception) -> None:
        if not chunks:
            return
        known = error if isinstance(error, BootseerError) else CorruptError(f"{error!r}")
        fields = {
            "layer": self.digest,
            "offset": self.chunks.blob_start(chunks[0]),
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
