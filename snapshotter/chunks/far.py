"""Blobs that are far: a request brings the bytes of many chunks, which are kept as they come."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from bootseer.errors import CorruptError
from snapshotter.chunks.carrier import BATCH, Fetched, Keep, Run
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.fetching import Purpose
from snapshotter.chunks.received import Part, Received
from snapshotter.chunks.turns import Turns
from snapshotter.chunks.windows import Windows
from snapshotter.ports import Early, MirroredSource

_STREAMED: Final = 1 << 20
"""A request for more bytes than this is decoded while the rest of it is on its way."""
_JOBS: Final = 4
"""Jobs of one stream that wait for a thread or have one; bytes behind them stay in the kernel."""


@dataclass(frozen=True, slots=True)
class FarCarrier:
    """A `Carrier` of one blob, which a source gives by ranges."""

    digest: str
    """The blob's, as the source knows it."""
    chunks: ChunkMap
    source: MirroredSource
    windows: Windows
    threads: Turns

    async def carry(self, run: Run, keep: Keep, fetched: Fetched) -> None:
        """Bring a run by one request; see `Carrier.carry`."""
        start, end = self.chunks.blob(run.low, run.high)
        if run.wanted == run.high and end - start > _STREAMED:
            await self._stream(run, keep, fetched)
        else:
            await self._read(run, keep, fetched)

    async def doubt(self, chunk: int) -> None:
        """Fetch the chunk and its window anew, from elsewhere where there is an elsewhere.

        A mirror's copy may have gone bad.
        """
        await self.source.doubt(self.digest)
        await self.windows.doubt(chunk)

    async def _read(self, run: Run, keep: Keep, fetched: Fetched) -> None:
        """Fetch chunks at once; those that somebody waits for are kept as soon as they came."""
        low, wanted, high = run.low, run.wanted, run.high
        start, end = self.chunks.blob(low, high)
        cut = self.chunks.blob(low, wanted)[1] - start
        kept = low

        async def keep_all(first: int, last: int, part: Part) -> None:
            found = await windows
            async with asyncio.TaskGroup() as jobs:
                for some, end in self.chunks.batches(first, last, BATCH):
                    few = found[some - low : end - low]
                    jobs.create_task(keep(some, part.cut, few))

        def arrived(front: bytes) -> None:
            nonlocal kept
            if kept == low:
                kept = wanted
                group.create_task(keep_all(low, wanted, Part(start, memoryview(front))))

        early = Early(cut, arrived) if wanted < high else None
        async with asyncio.TaskGroup() as group:
            windows = group.create_task(self.windows.get_all(low, high))
            body = await self.source.read(self.digest, start, end - start, early)
            fetched[run.purpose] += cut
            fetched[Purpose.IDLE] += len(body) - cut
            group.create_task(keep_all(kept, high, Part(start, memoryview(body))))

    async def _stream(self, run: Run, keep: Keep, fetched: Fetched) -> None:
        """Fetch many chunks; they are kept while what is behind them is still on its way.

        No more is taken from the link than worker threads can decode.
        """
        start, end = self.chunks.blob(run.low, run.high)
        received = Received(start)
        turns = asyncio.Semaphore(_JOBS)
        async with (
            contextlib.aclosing(self.source.stream(self.digest, start, end - start)) as pieces,
            asyncio.TaskGroup() as jobs,
        ):
            windows = jobs.create_task(self.windows.get_all(run.low, run.high))
            for low, high in self.chunks.batches(run.low, run.high, BATCH):
                first, until = self.chunks.blob(low, high)
                while received.end < until:
                    piece = await anext(pieces, b"")
                    if not piece:
                        raise CorruptError(f"layer {self.digest} ends at byte {received.end}")
                    fetched[run.purpose] += len(piece)
                    received.add(piece)
                await turns.acquire()
                few = (await windows)[low - run.low : high - run.low]
                part = received.take(first, until)
                job = jobs.create_task(keep(low, part.cut, few))
                job.add_done_callback(lambda _: turns.release())
