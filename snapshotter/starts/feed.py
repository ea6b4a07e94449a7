"""Fills hot areas from a hot pack: one sequential download, frames out of turn for who waits.

Frames lie in the pack in the order in which a start asks for their blocks, so the download is
mostly ahead of it. A read of a block that is not there yet joins the download where that brings
the block within `FeedRules.patience`; otherwise its frame is fetched at once, beside the download.

Concurrency
    Everything but `_unpack` runs in the event loop. A frame is in one of four states: *landed*
    (its blocks are in the areas), *flying* (in `_rushed`: fetched out of turn, which may have
    `_failed`), *unpacking* (the download brought it), or none of these: the download brings it.
    `_waiting` has a future for each frame that somebody waits for; landing or giving up resolves
    it, and both happen in one step with the change of state. The download skips what landed; a
    frame that it decodes while it is rushed is written twice, the same bytes.
    Worker threads unpack and write frames of their own and touch no state.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bootseer.errors import BootseerError, RemoteError, first_error
from snapshotter.hot.unpack import HotBlocks, OpenedPack, PackStream
from snapshotter.layers.records import I64
from snapshotter.ports import BlobSource
from snapshotter.starts.ahead import AheadRoom, ReceivedAhead
from snapshotter.starts.area import FeedCounters, HotArea

log = logging.getLogger(__name__)

_SKIP: Final = 4 << 20
"""Bytes of frames that are there already, past which a download starts anew."""
_WAITING: Final = 256
"""Frames that were received and wait for that: the link does not idle while they are unpacked."""
_DECODING: Final = 3
"""Frames of one pack that are unpacked at once: enough to keep two cores busy."""


@dataclass(frozen=True, slots=True)
class FeedRules:
    """When a read waits for the download."""

    patience: float = 0.2
    """Seconds until a block's frame is expected, up to which a read waits for it."""
    first_rate: float = 12.5e6
    """Bytes a second that are expected before anything was measured (100 Mbit/s)."""


@dataclass(frozen=True, slots=True)
class Download:
    """A download of a pack that is under way."""

    stream: PackStream
    pieces: ReceivedAhead
    began: float
    """When it was asked for (`time.monotonic`)."""

    @property
    def next(self) -> int:
        """Where in the pack the first frame is that has not been taken out."""
        return self.stream.resume_at

    @property
    def end(self) -> int:
        """Where in the pack the first byte is that has not come."""
        return self.stream.end + self.pieces.held

    def reach(self, rules: FeedRules) -> float:
        """Return where in the pack it will be when a read has no more patience."""
        came = self.stream.received + self.pieces.held
        seconds = max(time.monotonic() - self.began, 1e-3)
        return self.end + rules.patience * (came / seconds if came else rules.first_rate)


class PackFeed:
    """Brings the blocks of one pack into hot areas (`area.Feed`)."""

    def __init__(
        self,
        digest: str,
        opened: OpenedPack,
        areas: Mapping[str, HotArea],
        source: BlobSource,
        executor: Executor,
        rules: FeedRules,
    ) -> None:
        """`areas` are to be filled, by layer digest; the pack's other layers are passed over."""
        self.counters = FeedCounters()
        self._digest = digest
        self._opened = opened
        self._areas = areas
        self._source = source
        self._executor = executor
        self._rules = rules
        self._frame_of = _frames_by_position(opened)
        self._landed = bytearray(opened.frames)
        self._rushed: set[int] = set()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._failed: set[int] = set()
        """Frames that could not be had out of turn: who wants them asks elsewhere."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[Any] | None = None
        self._unpacking: set[int] = set()
        self._download: Download | None = None
        """What is being received."""
        self._began = 0.0
        self._over = False

    @property
    def frames(self) -> int:
        """Frames of the pack (a count)."""
        return self._opened.frames

    @property
    def over(self) -> bool:
        """Whether nothing comes any more."""
        return self._over

    def cancel(self) -> None:
        """See `area.Feed`: ends the task that runs it."""
        if self._task is not None:
            self._task.cancel()

    def expect(self, layer: str, positions: range) -> Sequence[asyncio.Future[None]]:
        """See `area.Feed`."""
        frames = self._frame_of.get(layer)
        if self._over or frames is None:
            return ()
        wanted = np.unique(frames[positions.start : positions.stop]).tolist()
        return [
            self._expect(frame)
            for frame in wanted
            if not self._landed[frame] and frame not in self._failed
        ]

    async def run(self, begun: "Download | None" = None) -> None:
        """Download until all frames have landed. `begun`: a download whose front was read.

        Raises:
            NotFoundError, RemoteError: the pack is not to be had (any more).
            CorruptError: a frame is wrong; nothing of it was used.
        """
        self._began = begun.began if begun else time.monotonic()
        self._task = asyncio.current_task()
        download = begun
        try:
            if begun:
                self.counters.bytes += begun.stream.received
                self.counters.received_seconds = begun.pieces.received_at - self._began
            self._skip_what_is_there()
            while (frame := self._landed.find(0)) >= 0:
                download = download or self._resume(frame)
                ended = await self._receive(download)
                if ended and self._landed.find(0) == frame:
                    raise RemoteError(f"hot pack {self._digest} ends before its frame {frame}")
                download = None
        except ExceptionGroup as errors:
            raise first_error(errors) from None
        finally:
            self._over = True
            self._task = None
            for task in self._tasks:
                task.cancel()
            for frame in list(self._waiting):
                self._wake(frame)
            if begun is not None:
                await begun.pieces.aclose()

    def _resume(self, frame: int) -> "Download":
        pieces = self._source.stream(self._digest, self._opened.place(frame)[0])
        ahead = ReceivedAhead(pieces, AheadRoom(0))
        return Download(PackStream.resume(self._opened, frame), ahead, time.monotonic())

    def _skip_what_is_there(self) -> None:
        """Note frames all of whose blocks are in the areas: a server before us brought them."""
        missing = np.zeros(self.frames, dtype=np.bool_)
        for layer, frames in self._frame_of.items():
            area = self._areas[layer]
            for part in area.missing_of(range(len(frames))):
                missing[frames[part.start : part.stop]] = True
        for frame in np.flatnonzero(~missing).tolist():
            self._landed[frame] = 1

    async def _receive(self, download: "Download") -> bool:
        """Take frames from a download until it ends, or goes on with much that has landed.

        Say whether it came to its end.
        """
        stream, pieces = download.stream, download.pieces
        places, room = asyncio.Semaphore(_DECODING), asyncio.Semaphore(_WAITING)
        self._download = download
        async with aclosing(pieces), asyncio.TaskGroup() as group:
            while True:
                while (stored := stream.next_stored()) is not None:
                    if not self._landed[stored[0]]:
                        await room.acquire()
                        self._unpacking.add(stored[0])
                        group.create_task(self._land_in_turn(*stored, places, room))
                if self._is_useless_from(stream.next_number):
                    return False
                piece = await anext(pieces, None)
                if piece is None:
                    return True
                stream.receive(piece)
                self.counters.bytes += len(piece)
                self.counters.received_seconds = pieces.received_at - self._began

    def _is_useless_from(self, frame: int) -> bool:
        """Say whether the frames from this one on are all there, or so many that a skip pays."""
        useful = self._landed.find(0, frame)
        if useful < 0 or frame >= self.frames:
            return True
        return self._opened.place(useful)[0] - self._opened.place(frame)[0] > _SKIP

    async def _land_in_turn(
        self, frame: int, stored: bytes, places: asyncio.Semaphore, room: asyncio.Semaphore
    ) -> None:
        """Unpack a frame when one of `places` is free, then let go of its `room`."""
        try:
            async with places:
                await self._land(frame, stored)
        finally:
            self._unpacking.discard(frame)
            room.release()

    async def _land(self, frame: int, stored: bytes) -> None:
        loop = asyncio.get_running_loop()
        parts = await loop.run_in_executor(self._executor, self._unpack, frame, stored)
        for part in parts:
            self._areas[part.layer_digest].mark(part.position, len(part.data))
        self.counters.brought += 0 if self._landed[frame] else sum(len(p.data) for p in parts)
        self.counters.seconds = time.monotonic() - self._began
        self.counters.frames += not self._landed[frame]
        self._landed[frame] = 1
        self._wake(frame)

    def _unpack(self, frame: int, stored: bytes) -> tuple[HotBlocks, ...]:
        """Verify a frame and write its blocks (a worker thread's job)."""
        parts = self._opened.unpack(frame, stored)
        for part in parts:
            self._areas[part.layer_digest].write(part.position, part.data)
        return parts

    def _expect(self, frame: int) -> asyncio.Future[None]:
        future = self._waiting.get(frame)
        if future is None:
            future = self._waiting[frame] = asyncio.get_running_loop().create_future()
        if frame not in self._rushed and not self._is_near(frame):
            self._rushed.add(frame)
            task = asyncio.create_task(self._rush(frame))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return future

    def _is_near(self, frame: int) -> bool:
        if frame in self._unpacking:
            return True
        start, size = self._opened.place(frame)
        download = self._download
        if download is None:
            return start + size <= self._rules.first_rate * self._rules.patience
        return download.next <= start and start + size <= download.reach(self._rules)

    async def _rush(self, frame: int) -> None:
        """Fetch a frame out of turn; if that fails, whoever waits asks elsewhere."""
        self.counters.rushed += 1
        try:
            stored = await self._source.read(self._digest, *self._opened.place(frame))
            self.counters.bytes += len(stored)
            if not self._landed[frame]:
                await self._land(frame, stored)
        except (BootseerError, OSError) as error:
            fields = {"pack": self._digest, "frame": frame, "reason": str(error)}
            log.warning("hot.frame_failed", extra={"fields": fields})
            self._failed.add(frame)
            self._wake(frame)

    def _wake(self, frame: int) -> None:
        future = self._waiting.pop(frame, None)
        if future is not None and not future.done():
            future.set_result(None)


def _frames_by_position(opened: OpenedPack) -> dict[str, I64]:
    """Return, by layer digest, the frame of every block of the layer's hot area."""
    directory = opened.directory
    frames = np.arange(len(directory.blocks.block)) // directory.head.frame_blocks
    return {
        directory.layers[row].layer_digest: frames[directory.blocks.layer == row]
        for row in opened.wanted
    }
