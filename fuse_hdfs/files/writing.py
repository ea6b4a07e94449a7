"""Writing one segment: one writer a stripe, all at once, each with a short queue.

What waits in the queues of all writers together is bounded: a unit takes room before it is queued,
and gives it back when the store has it, or when its writer is abandoned.

Race-free: one task calls `add` and `finish`, in turn; each stripe's queue has one writer and one
reader; what a stripe's task raises is taken up by the next call. Whoever waits for room holds none
but that of units which the store takes, or fails to take, without it.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fuse_hdfs.checksums import crc32c
from fuse_hdfs.files.names import segment_directory, stripe_path
from fuse_hdfs.files.room import Room
from fuse_hdfs.stores.store import Store
from fuse_hdfs.stores.traffic import Call, Direction, Traffic
from fuse_hdfs.striping.layout import Segment, SegmentId


@dataclass(frozen=True, slots=True)
class Striping:
    """How new segments are written."""

    unit: int = 4 << 20
    """Bytes."""
    stripes: int = 8
    queue: int = 2
    """Units that may wait for a stripe's writer, which is what a slow one can lag behind."""


class _Stripe:
    """One stripe being written."""

    def __init__(
        self,
        store: Store,
        path: str,
        place: str | None,
        queue: int,
        traffic: Traffic,
        room: Room,
    ) -> None:
        self._room = room
        self._held = 0
        """Bytes of room that its units have."""
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(queue)
        self._task = asyncio.create_task(self._write(store, path, place, traffic))

    async def put(self, unit: bytes | None) -> None:
        """Queue a unit, or None for the end. Raises what the writer raised."""
        if unit is not None:
            await self._room.take(len(unit))
            self._held += len(unit)
        if not self._queue.full() and not self._task.done():
            self._queue.put_nowait(unit)
            return
        putting = asyncio.create_task(self._queue.put(unit))
        try:
            await asyncio.wait((putting, self._task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()
        if self._task.done():
            self._task.result()

    async def finish(self) -> None:
        await self.put(None)
        await self._task

    async def abandon(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._give(self._held)

    def _give(self, size: int) -> None:
        self._held -= size
        self._room.give(size)

    async def _write(self, store: Store, path: str, place: str | None, traffic: Traffic) -> None:
        with traffic.call(path.rpartition("/")[2], Direction.WRITE) as call:
            await store.write(path, self._units(call), parents=False, place=place)

    async def _units(self, call: Call) -> AsyncIterator[bytes]:
        since = time.monotonic()
        while (unit := await self._queue.get()) is not None:
            call.idle += time.monotonic() - since
            call.bytes += len(unit)
            yield unit
            self._give(len(unit))
            since = time.monotonic()
        call.idle += time.monotonic() - since


class SegmentWriter:
    """Takes the units of a new segment, in order."""

    def __init__(self, store: Store, striping: Striping, traffic: Traffic, room: Room) -> None:
        """`traffic`: what counts, by the stripes' numbers; `room`: of all writers together."""
        self.id = SegmentId(secrets.token_hex(16))
        self._store = store
        self._striping = striping
        self._traffic = traffic
        self._room = room
        self._stripes: list[_Stripe] = []
        self._places: list[str] | None = None
        self._checksums = bytearray()
        self._last = 0
        self.units = 0

    async def add(self, unit: bytes) -> None:
        """Take the next unit; waits while its stripe's writer is behind.

        All but the last have the full size. Raises what a stripe's writer raised: then only
        `abandon` makes sense.
        """
        number = self.units % self._striping.stripes
        if number == len(self._stripes):
            self._stripes.append(await self._begin(number))
        await self._stripes[number].put(unit)
        self._checksums += crc32c(unit).to_bytes(4, "little")
        self._last = len(unit)
        self.units += 1

    def segment(self) -> Segment:
        """Return what was added, as the segment that it is once `finish` returns."""
        checksums = bytes(self._checksums)
        return Segment(self.id, len(self._stripes), self.units, self._last, checksums)

    async def finish(self) -> Segment:
        """Close all stripes, at the same time; they survive a crash from now on."""
        results = await asyncio.gather(
            *(stripe.finish() for stripe in self._stripes), return_exceptions=True
        )
        for result in results:
            if result is not None:
                raise result
        return self.segment()

    async def abandon(self) -> None:
        """Stop, and remove what was written."""
        await asyncio.gather(*(stripe.abandon() for stripe in self._stripes))
        await self._store.remove_tree(segment_directory(self.id))

    async def _begin(self, number: int) -> _Stripe:
        if self._places is None:
            self._places = list(await self._store.places())
            # Made before its stripes, which do not make it: a store that hears of one only after
            # `abandon` would bring the directory back.
            await self._store.make_directories(segment_directory(self.id))
            random.shuffle(self._places)
        place = self._places[number % len(self._places)] if self._places else None
        path = stripe_path(self.id, number)
        queue = self._striping.queue
        return _Stripe(self._store, path, place, queue, self._traffic, self._room)
