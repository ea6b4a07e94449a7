"""Fetches hot blocks from the layers themselves, where there are records but no pack.

The chunks that hold hot blocks are fetched in the order in which a start first needs them, some
requests at a time, and their hot blocks are copied. That brings more bytes than a pack (a chunk is
64 blocks), and works with nothing but an index in the registry.

A read that finds its blocks missing reads them from the data area, and so joins the fetch of their
chunk or overtakes it (`chunks.reader`): there is nothing to wait for here.

Race-free: the event loop's thread only; a chunk is copied by the task that fetched it.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import numpy as np

from bootseer.errors import first_error
from snapshotter.chunks.flights import KeepHot
from snapshotter.chunks.reader import LayerReader
from snapshotter.hot.order import FetchRun
from snapshotter.layers.records import BLOCK
from snapshotter.starts.area import FeedCounters, HotArea, runs_of

_AT_ONCE: Final = 4
"""Requests under way: enough to fill a link over a few milliseconds of round trip."""


@dataclass(frozen=True, slots=True)
class Source:
    """A layer, and its hot area that is filled from it."""

    reader: LayerReader
    area: HotArea | None
    """None: containers read its hot blocks in place."""
    spans: Sequence[tuple[int, int]] = ()
    """Where in place these are: blocks `(first, end)` of the data area, in order."""
    keep_hot: KeepHot | None = None
    """Hears of those that came in, as bytes of the data area."""


class ChunkFeed:
    """Brings hot blocks of layers in, and into their hot areas if they have one (`area.Feed`)."""

    def __init__(self, sources: Mapping[int, Source], order: Sequence[FetchRun]) -> None:
        """`sources` by the row of the layer in `order`."""
        self.counters = FeedCounters()
        self.over = False
        self._began = 0.0
        self._sources = sources
        self._order = order
        self._task: asyncio.Task[Any] | None = None

    def cancel(self) -> None:
        """See `area.Feed`: ends the task that runs it."""
        if self._task is not None:
            self._task.cancel()

    def expect(self, layer: str, positions: range) -> Sequence[asyncio.Future[None]]:
        """See `area.Feed`: whoever waits is served sooner by the chunk's own reader."""
        del layer, positions
        return ()

    async def run(self) -> None:
        """Fetch and copy everything.

        Raises:
            BootseerError: a chunk cannot be had.
        """
        self._task = asyncio.current_task()
        places = asyncio.Semaphore(_AT_ONCE)
        self._began = time.monotonic()

        async def one(run: FetchRun) -> None:
            try:
                await self._bring(self._sources[run.layer], run)
            finally:
                places.release()

        try:
            async with asyncio.TaskGroup() as group:
                for run in self._order:
                    await places.acquire()
                    group.create_task(one(run))
        except ExceptionGroup as errors:
            raise first_error(errors) from None
        finally:
            self._task = None
            self.over = True

    async def _bring(self, source: Source, run: FetchRun) -> None:
        area, chunks = source.area, source.reader.chunks
        start, end = chunks.data(run.low)[0], chunks.data(run.high - 1)[1]
        low, high = start // BLOCK, -(-end // BLOCK)
        if area is None:
            await source.reader.prefetch(run.low, run.high)
            self._count(end - start)
            if source.keep_hot:
                for first, last in _within(source.spans, low, high):
                    source.keep_hot(first * BLOCK, (last - first) * BLOCK)
            return
        wanted = np.flatnonzero((area.blocks >= low) & (area.blocks < high))
        parts = [part for _, span in runs_of(wanted) for part in area.missing_of(span)]
        if parts:
            await source.reader.prefetch(run.low, run.high)
        for part in parts:
            for first, blocks in runs_of(area.blocks[part.start : part.stop]):
                start, length = blocks.start * BLOCK, len(blocks) * BLOCK
                data = await source.reader.read(start, length, alone=True)
                await area.put(part.start + first, data)
                self._count(len(data))

    def _count(self, brought: int) -> None:
        self.counters.brought += brought
        self.counters.seconds = time.monotonic() - self._began


def _within(spans: Sequence[tuple[int, int]], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield what of sorted spans lies in `[low, high)`."""
    for row in range(bisect_right(spans, low, key=itemgetter(1)), len(spans)):
        first, end = spans[row]
        if first >= high:
            return
        yield max(first, low), min(end, high)
