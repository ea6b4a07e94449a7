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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np

from bootseer.errors import first_error
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.layers.records import BLOCK, I64


@dataclass(slots=True)
class FeedCounters:
    """What a feed did so far."""

    bytes: int = 0
    """Fetched for it alone, compressed."""
    frames: int = 0
    """Frames of a pack that landed."""
    rushed: int = 0
    """Frames that were fetched out of turn."""
    seconds: float = 0.0
    """How long it took from when it was asked for; 0 until it is over."""


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
    def brought(self) -> int:
        """Bytes of hot areas that were filled."""
        ...

    @property
    def counters(self) -> FeedCounters:
        """What it did so far."""
        ...


_PATIENCE_S: Final = 3.0
"""A read waits no longer for a feed, whatever that expects: a connection may have stalled."""

KeepHot: TypeAlias = Callable[[int, bytes | bytearray | memoryview], object]
"""(offset, bytes): puts bytes of a hot area into the kernel's page cache (blocking)."""


class DataArea(Protocol):
    """The layer's data area, where every hot block lies as well."""

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Return verified bytes. Raises `BootseerError` where they cannot be had."""
        ...


@dataclass(slots=True)
class AreaCounters:
    """What became of the reads of a hot area so far."""

    reads: int = 0
    hits: int = 0
    """Reads of blocks that were all there."""
    joined: int = 0
    """Reads that waited for the feed."""
    misses: int = 0
    """Reads that the feed did not serve."""


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
        self.counters = AreaCounters()
        self.feed: Feed | None = None
        self._blocks = blocks
        self._data = data
        self._keep_hot = keep_hot
        self._patience = patience
        self._touched = bytearray(len(blocks))

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

    @property
    def untouched(self) -> int:
        """Blocks that the kernel never asked for (a count)."""
        return self._touched.count(0)

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Return verified bytes; short only at the end of the area.

        Raises:
            BootseerError: they are not here, and cannot be had from the data area either.
        """
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        wanted = range(offset // BLOCK, -(-(offset + length) // BLOCK))
        self.counters.reads += 1
        self._touched[wanted.start : wanted.stop] = b"\1" * len(wanted)
        if self._is_missing(wanted):
            await self._wait_for_feed(wanted)
        else:
            self.counters.hits += 1
        if self._is_missing(wanted):
            self.counters.misses += 1
            start = offset - wanted.start * BLOCK
            return (await self._with_data_area(wanted))[start : start + length]
        data = self.cache.read_nowait(offset, length)
        return (
            data if data is not None else await asyncio.to_thread(self.cache.read, offset, length)
        )

    def _is_missing(self, positions: range) -> bool:
        return self.cache.presence.first_missing(positions.start, positions.stop) >= 0

    async def _wait_for_feed(self, positions: range) -> None:
        if self.feed is None:
            return
        missing = self.missing_of(positions)
        waiting = {f for part in missing for f in self.feed.expect(self.name, part)}
        if waiting:
            self.counters.joined += 1
            await asyncio.wait(waiting, timeout=self._patience)

    async def _with_data_area(self, positions: range) -> bytes:
        """Return blocks some of which are not here. These are kept if the disk takes them."""
        # Before the read: what lands meanwhile may not be in it.
        missing = self.missing_of(positions)
        found = bytearray(await asyncio.to_thread(self._read_blocks, positions))
        try:
            async with asyncio.TaskGroup() as group:
                for part in missing:
                    for start, run in runs_of(self._blocks[part.start : part.stop]):
                        fetch = self._fetch(part.start + start, run, positions.start, found)
                        group.create_task(fetch)
        except ExceptionGroup as errors:
            raise first_error(errors) from None
        return bytes(found)

    def _read_blocks(self, positions: range) -> bytes:
        return self.cache.read(positions.start * BLOCK, len(positions) * BLOCK)

    async def _fetch(self, position: int, run: range, origin: int, into: bytearray) -> None:
        """Read a run of blocks of the data area into its place in `into`, and keep it."""
        data = bytes(await self._data.read(run.start * BLOCK, len(run) * BLOCK))
        at = (position - origin) * BLOCK
        into[at : at + len(data)] = data
        with contextlib.suppress(OSError):  # the chunk cache says it when the disk is full
            await self.put(position, data)

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
        if self._keep_hot:
            self._keep_hot(position * BLOCK, data)

    def mark(self, position: int, length: int) -> None:
        """Say that `length` bytes were written. Event loop only."""
        self.cache.mark(range(position, position + length // BLOCK))

    def missing_of(self, positions: range) -> list[range]:
        """Return the runs of positions that are not at hand."""
        presence, runs, at = self.cache.presence, [], positions.start
        while (start := presence.first_missing(at, positions.stop)) >= 0:
            at = start + 1
            while at < positions.stop and at not in presence:
                at += 1
            runs.append(range(start, at))
        return runs


def runs_of(blocks: I64) -> Iterator[tuple[int, range]]:
    """Yield the runs of consecutive blocks: (index of the first one, the blocks)."""
    if not len(blocks):
        return
    starts = np.flatnonzero(np.append(True, np.diff(blocks) != 1))
    ends = np.append(starts[1:], len(blocks))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        first = int(blocks[start])
        yield start, range(first, first + end - start)
