"""The hot area of a layer: a block file with the blocks that a start touches, in that order.

Its blocks come from a `Feed` that brings all of them, in order. A read of what is not there yet
waits for the feed where it brings that soon, but not for long; what no feed brings is read from the
data area, chunk by chunk, like every other miss.

Race-free: `presence` and the counters are touched by the event loop only. Which blocks are missing
is looked up before the others are read from the file, never after: what is there stays there.
Worker threads write blocks of their own; that two of them write the same block at once is possible
(the feed and a read that did not wait for it) and harmless: both have the same verified bytes.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from bootseer.errors import first_error
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.flights import KeepHot
from snapshotter.chunks.reads import ReadCounters, Source, slowest
from snapshotter.layers.records import BLOCK, I64


@dataclass(slots=True)
class FeedCounters:
    """What a feed did so far."""

    brought: int = 0
    """Bytes of hot areas that it filled."""
    bytes: int = 0
    """Fetched for it alone, compressed."""
    frames: int = 0
    """Frames of a pack that landed."""
    rushed: int = 0
    """Frames that were fetched out of turn."""
    seconds: float = 0.0
    """From when it was asked for until something came last."""
    received_seconds: float = 0.0
    """Likewise, until bytes of a pack were received last; they were not unpacked yet."""


class Feed(Protocol):
    """What fills hot areas."""

    def expect(self, layer: str, positions: range) -> Sequence[asyncio.Future[None]]:
        """Return what to wait for until these blocks of a layer's hot area may be there.

        Empty if they are not on their way and will not be soon. Futures never fail; whether the
        blocks came is seen in the area.
        """
        ...

    def cancel(self) -> None:
        """Stop: an area is gone."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing comes any more."""
        ...

    @property
    def counters(self) -> FeedCounters:
        """What it did so far."""
        ...


_PATIENCE_S: Final = 3.0
"""A read waits no longer for a feed, whatever that expects: a connection may have stalled."""


class DataArea(Protocol):
    """The layer's data area, where every hot block lies as well."""

    async def fetch(self, offset: int, length: int) -> tuple[bytes | bytearray, Source]:
        """Return verified bytes and what they had to wait for.

        Raises `BootseerError` where they cannot be had.
        """
        ...


class HotArea:
    """Serves byte ranges of a hot area (`blocks.filesystem.BlockFile`)."""

    def __init__(
        self,
        name: str,
        blocks: I64,
        cache: CacheFile,
        data: DataArea,
        keep_hot: KeepHot | None = None,
        patience: float = _PATIENCE_S,
    ) -> None:
        """`blocks[i]` is the block of the data area that is block i here; `name` is the layer's.

        `patience`: seconds that a read waits for the feed at most.
        """
        self.name = name
        self.cache = cache
        self.reads = ReadCounters()
        """Of its block file."""
        self.unused: int | None = None
        """Blocks that the first start did not read (a count); None while that is not known."""
        self.changed = float("-inf")
        """When blocks came in last, in seconds of `time.monotonic`."""
        self.feed: Feed | None = None
        self._late: Feed | None = None
        """One that did not keep a promise in time: it is not waited for again."""
        self._blocks = blocks
        self._data = data
        self._keep_hot = keep_hot
        self._is_known = False
        self._patience = patience

    @property
    def size(self) -> int:
        """Bytes of the hot area."""
        return len(self._blocks) * BLOCK

    @property
    def blocks(self) -> I64:
        """Numbers in the data area, by position."""
        return self._blocks

    @property
    def missing(self) -> int:
        """Blocks that are not at hand (a count)."""
        return self.cache.presence.missing

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Return verified bytes; short only at the end of the area.

        Raises:
            BootseerError: they are not here, and cannot be had from the data area either.
        """
        return await self.reads.count(self._fetch(offset, length))

    async def _fetch(self, offset: int, length: int) -> tuple[bytes | bytearray, Source]:
        length = min(length, self.size - offset)
        if length <= 0:
            return b"", Source.CACHE
        wanted = range(offset // BLOCK, -(-(offset + length) // BLOCK))
        source = Source.CACHE
        if self._is_missing(wanted):
            source = await self._wait_for_feed(wanted)
        if self._is_missing(wanted):
            start = offset - wanted.start * BLOCK
            found, later = await self._with_data_area(wanted)
            return found[start : start + length], slowest(source, later)
        if (data := self.cache.read_nowait(offset, length)) is not None:
            return data, source
        return await asyncio.to_thread(self.cache.read, offset, length), source

    def _is_missing(self, positions: range) -> bool:
        return self.cache.presence.first_missing(positions.start, positions.stop) >= 0

    async def _wait_for_feed(self, positions: range) -> Source:
        if self.feed is None or self.feed is self._late:
            return Source.CACHE
        missing = self.missing_of(positions)
        waiting = {f for part in missing for f in self.feed.expect(self.name, part)}
        if not waiting:
            return Source.CACHE
        feed = self.feed
        _, pending = await asyncio.wait(waiting, timeout=self._patience)
        if pending:
            self._late = feed
        return Source.JOINED

    async def _with_data_area(self, positions: range) -> tuple[bytes, Source]:
        """Return blocks some of which are not here. These are kept if the disk takes them."""
        # Before the read: what lands meanwhile may not be in it.
        missing = self.missing_of(positions)
        found = bytearray(await asyncio.to_thread(self._read_blocks, positions))
        tasks = []
        try:
            async with asyncio.TaskGroup() as group:
                for part in missing:
                    for start, run in runs_of(self._blocks[part.start : part.stop]):
                        copy = self._copy(part.start + start, run, positions.start, found)
                        tasks.append(group.create_task(copy))
        except ExceptionGroup as errors:
            raise first_error(errors) from None
        return bytes(found), slowest(*(task.result() for task in tasks))

    def _read_blocks(self, positions: range) -> bytes:
        return self.cache.read(positions.start * BLOCK, len(positions) * BLOCK)

    async def _copy(self, position: int, run: range, origin: int, into: bytearray) -> Source:
        """Read a run of blocks of the data area into its place in `into`, and keep it."""
        found, source = await self._data.fetch(run.start * BLOCK, len(run) * BLOCK)
        data = bytes(found)
        at = (position - origin) * BLOCK
        into[at : at + len(data)] = data
        with contextlib.suppress(OSError):  # the chunk cache says it when the disk is full
            await self.put(position, data)
        return source

    def is_known(self) -> bool:
        """See `BlockFile`: a number may come back, with other blocks, after a layer was removed."""
        known, self._is_known = self._is_known, True
        return known

    def close(self) -> None:
        """Close the files and stop the feed: nobody can read this any more."""
        if self.feed is not None:
            self.feed.cancel()
        self.cache.close()

    async def put(self, position: int, data: bytes | bytearray | memoryview) -> None:
        """Keep verified blocks from a position on. OSError if the disk will not take them."""
        await asyncio.to_thread(self.write, position, data)
        self.mark(position, len(data))

    def write(self, position: int, data: bytes | bytearray | memoryview) -> None:
        """Write verified blocks (a worker thread's job; then `mark` them in the event loop).

        OSError if the disk will not take them.
        """
        self.cache.write(position * BLOCK, data)

    def mark(self, position: int, length: int) -> None:
        """Say that `length` bytes were written. Event loop only."""
        self.cache.mark(range(position, position + length // BLOCK))
        self.changed = time.monotonic()
        if self._keep_hot:
            self._keep_hot(position * BLOCK, length)

    def missing_of(self, positions: range) -> list[range]:
        """Return the runs of positions that are not at hand."""
        return self.cache.presence.missing_runs(positions.start, positions.stop)


def runs_of(blocks: I64) -> Iterator[tuple[int, range]]:
    """Yield the runs of consecutive blocks: (index of the first one, the blocks)."""
    if not len(blocks):
        return
    starts = np.flatnonzero(np.append(True, np.diff(blocks) != 1))
    ends = np.append(starts[1:], len(blocks))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        first = int(blocks[start])
        yield start, range(first, first + end - start)
