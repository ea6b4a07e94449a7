"""Writing one segment: one writer a stripe, all at once, each with a short queue.

What waits in the queues of all writers together is bounded: a unit takes room before it is queued,
and gives it back when the store has it, or when its writer is abandoned. A stripe whose machine is
lost is sent again, as a whole, to another one, as far as it is kept (`kept`).

Race-free: one task calls `add` and `finish`, in turn; each stripe's queue has one writer and one
reader; what a stripe's task raises is taken up by the next call. Whoever waits for room holds none
but that of units which the store takes, or fails to take, without it.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from fuse_hdfs.checksums import crc32c
from fuse_hdfs.files.again import Again
from fuse_hdfs.files.kept import Keep, Kept
from fuse_hdfs.files.names import segment_directory, stripe_path
from fuse_hdfs.files.room import Room
from fuse_hdfs.stores.store import Store
from fuse_hdfs.stores.traffic import Call, Direction, Traffic
from fuse_hdfs.striping.layout import Segment, SegmentId
from fuse_hdfs.views import Pieces, size_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Striping:
    """How new segments are written."""

    unit: int = 4 << 20
    """Bytes."""
    stripes: int = 8
    queue: int = 2
    """Units that may wait for a stripe's writer, which is what a slow one can lag behind."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all writers of a volume share."""

    store: Store
    traffic: Traffic
    """What counts, by the stripes' numbers."""
    room: Room
    """For units that are on their way."""
    keep: Keep | None
    """For what may have to be sent again; None: nothing is."""
    again_s: float
    """For so long it is sent again, at least."""


class _Stripe:
    """One stripe being written."""

    def __init__(self, shared: Shared, striping: Striping, path: str, place: str | None) -> None:
        self._shared = shared
        self._path = path
        self._held = 0
        """Bytes of room that its units have."""
        self._sending = 0
        """Of these, those of the unit that the store takes now."""
        self._queue: asyncio.Queue[Pieces | None] = asyncio.Queue(striping.queue)
        self._ended = False
        kept = shared.keep if place is not None else None
        self._kept = None if kept is None else Kept(kept, striping.unit)
        self._task = asyncio.create_task(self._write(place))

    async def put(self, unit: Pieces | None) -> None:
        """Queue a unit whose room is ours from now on, or None for the end.

        Raises what the writer raised.
        """
        self._held += size_of(unit or ())
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
        self._shared.room.give(size)

    async def _write(self, place: str | None) -> None:
        """Send the stripe to a place; again, to another one, when that is lost."""
        tried: list[str | None] = []
        again = Again(self._shared.again_s)
        try:
            while True:
                try:
                    await self._send(place)
                except OSError as error:
                    tried.append(place)
                    pause = again.pause(error)
                    place = None if pause is None else await self._elsewhere(pause, tried)
                    if place is None:
                        raise
                    fields = {"stripe": self._path, "reason": str(error), "instead": place}
                    log.warning("stripe.again", extra={"fields": fields})
                    self._shared.store.traffic.retries += 1
                else:
                    return
        finally:
            if self._kept is not None:
                await self._kept.close()

    async def _send(self, place: str | None) -> None:
        store = self._shared.store
        name = self._path.rpartition("/")[2]
        with self._shared.traffic.call(name, Direction.WRITE) as call:
            await store.write(self._path, self._units(call), parents=False, place=place)

    async def _elsewhere(self, pause: float, tried: Sequence[str | None]) -> str | None:
        """Return where to send the stripe instead, after a pause, with nothing of it there.

        None: nowhere. Where no machine is said to be up, it is the last one again.
        """
        if self._kept is None or not await self._kept.settled():
            return None
        await asyncio.sleep(pause)
        store = self._shared.store
        try:
            places = await store.places()
            others = [one for one in places if one not in tried] or places
            with contextlib.suppress(FileNotFoundError):
                await store.remove(self._path)
        except OSError:
            return None
        likely = others[: (len(others) + 1) // 2] or tried[-1:]
        return random.choice(likely)  # noqa: S311  (not a secret)

    async def _units(self, call: Call) -> AsyncIterator[bytes]:
        """Yield the units, in pieces: those that were sent already, and those that come."""
        self._sent()
        if self._kept is not None:
            async for unit in self._kept.units():
                call.bytes += len(unit)
                yield unit
        since = time.monotonic()
        while (fresh := await self._next()) is not None:
            call.idle += time.monotonic() - since
            for piece in fresh:
                call.bytes += len(piece)
                yield piece
            del fresh, piece  # see `views.Pieces`
            since = time.monotonic()
            if self._kept is not None:
                await self._kept.settled()
            self._sent()
        call.idle += time.monotonic() - since

    async def _next(self) -> Pieces | None:
        """Return the next unit of the queue, which begins to be kept; None at the end.

        A call that is cancelled loses none: nothing awaits once a unit was taken.
        """
        unit = None if self._ended else await self._queue.get()
        self._ended = unit is None
        if unit is not None:
            self._sending = size_of(unit)
            if self._kept is not None:
                self._kept.add(unit)
        return unit

    def _sent(self) -> None:
        """Give back the room of the unit that the store had, if it had one."""
        size, self._sending = self._sending, 0
        self._give(size)


class SegmentWriter:
    """Takes the units of a new segment, in order."""

    def __init__(self, shared: Shared, striping: Striping) -> None:
        self.id = SegmentId(secrets.token_hex(16))
        self._shared = shared
        self._striping = striping
        self._stripes: list[_Stripe] = []
        self._places: list[str] | None = None
        self._checksums = bytearray()
        self._last = 0
        self._reserved = 0
        """Bytes of room for the next unit."""
        self.units = 0

    async def reserve(self, size: int) -> None:
        """Wait for the room of the next unit, for who gets its bytes only then."""
        if size > self._reserved:
            await self._shared.room.take(size - self._reserved)
            self._reserved = size

    async def add(self, unit: Pieces) -> None:
        """Take the next unit; waits while its stripe's writer is behind.

        All but the last have the full size. Raises what a stripe's writer raised: then only
        `abandon` makes sense.
        """
        number = self.units % self._striping.stripes
        if number == len(self._stripes):
            self._stripes.append(await self._begin(number))
        size = size_of(unit)
        await self.reserve(size)
        self._reserved = 0
        await self._stripes[number].put(unit)
        self._checksums += crc32c(*unit).to_bytes(4, "little")
        self._last = size
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
        self._shared.room.give(self._reserved)
        self._reserved = 0
        await asyncio.gather(*(stripe.abandon() for stripe in self._stripes))
        await self._shared.store.remove_tree(segment_directory(self.id))

    async def _begin(self, number: int) -> _Stripe:
        if self._places is None:
            self._places = list(await self._shared.store.places())
            # Made before its stripes, which do not make it: a store that hears of one only after
            # `abandon` would bring the directory back.
            await self._shared.store.make_directories(segment_directory(self.id))
            random.shuffle(self._places)
        place = self._places[number % len(self._places)] if self._places else None
        path = stripe_path(self.id, number)
        return _Stripe(self._shared, self._striping, path, place)
