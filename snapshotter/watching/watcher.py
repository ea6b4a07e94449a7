"""Hears from the kernel what containers read whose start is recorded.

Otherwise a recording has to make every touch of a block a read of its own (EROFS' `directio`), and
the start pays for it: no read-ahead, no page cache, a crossing into this process for each 4 KiB.
Where the kernel tells (`tracefs`), they read as usual; only EROFS, above the page cache of the
block file, must not read more than what was asked for.

Race-free: the event loop's thread only, but for the trace itself, which one worker thread uses at
a time, for whoever holds `_using`. Who was told by `begin` that touches are heard has a recording
that counts as `watching` before anything else happens in the event loop: no trace ends under him.
"""

import asyncio
import logging
from typing import Final, Protocol

from bootseer.errors import HostError
from snapshotter.blocks.names import BlockName
from snapshotter.watching.events import Heard, parse

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.1
"""Between two looks. In that time a processor's buffer holds 2,500 touches at least."""


class Trace(Protocol):
    """See `tracefs.Trace`; likewise for what is below."""

    def read(self) -> bytes:
        """Return lines that were not read yet; nothing: there are none. May raise OSError."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Tracing(Protocol):
    """Makes traces."""

    def open(self) -> Trace:
        """Begin to trace. HostError if that cannot be."""
        ...

    def sweep(self) -> None:
        """Remove what is left of a trace."""
        ...


class Watched(Protocol):
    """Recordings that hear of touches."""

    @property
    def watching(self) -> int:
        """How many go on that hear of touches by us."""
        ...

    def touch(self, name: BlockName, offset: int, length: int, at: float) -> None:
        """Note a read of a block file, at a time of the monotonic clock."""
        ...

    def unwatch(self) -> None:
        """End those that hear of touches by us: nothing will be heard any more."""
        ...


class Watcher:
    """Has the kernel tell of reads as long as a recording wants to know."""

    def __init__(self, tracing: Tracing | None, recordings: Watched) -> None:
        """Without `tracing` it never tells."""
        self._tracing = tracing
        self._recordings = recordings
        self._trace: Trace | None = None
        self._using = asyncio.Lock()
        self._begun = asyncio.Event()

    async def begin(self) -> bool:
        """Say whether touches are told of from now on. A kernel that does not tell is no error."""
        async with self._using:
            if self._trace is None and self._tracing is not None:
                try:
                    self._trace = await asyncio.to_thread(self._tracing.open)
                    self._begun.set()
                except HostError as error:
                    fields = {"reason": error.message, "effect": "a recorded start is slower"}
                    log.warning("hot.not_watched", extra={"fields": fields})
            return self._trace is not None

    async def catch_up(self) -> None:
        """Have all that was read until now told of."""
        async with self._using:
            if self._trace is None:
                return
            try:
                while heard := await asyncio.to_thread(_hear, self._trace):
                    self._tell(heard)
            except OSError as error:
                log.warning("hot.watch_lost", extra={"fields": {"reason": str(error)}})
                self._recordings.unwatch()

    async def run(self) -> None:
        """Tell of touches until cancelled; first of those that no earlier server has heard of."""
        if self._recordings.watching and not await self.begin():
            self._recordings.unwatch()
        async with self._using:
            if self._trace is None:
                await self._sweep()
        while True:
            await self._begun.wait()
            await asyncio.sleep(_LOOK_S)
            await self.catch_up()
            async with self._using:
                if not self._recordings.watching:
                    await self._end()

    async def close(self) -> None:
        """End it; the next server goes on with what is recorded."""
        await self.catch_up()
        async with self._using:
            await self._end()

    def _tell(self, heard: Heard) -> None:
        for touch in heard.touches:
            if name := BlockName.at(touch.inode):
                self._recordings.touch(name, touch.offset, touch.length, touch.at)
        if heard.lost:
            log.warning("hot.touches_lost", extra={"fields": {"events": heard.lost}})

    async def _end(self) -> None:
        trace, self._trace = self._trace, None
        self._begun.clear()
        if trace is not None:
            await asyncio.to_thread(trace.close)
            await self._sweep()

    async def _sweep(self) -> None:
        if self._tracing is None:
            return
        try:
            await asyncio.to_thread(self._tracing.sweep)
        except OSError as error:
            log.warning("hot.trace_left", extra={"fields": {"reason": str(error)}})


def _hear(trace: Trace) -> Heard | None:
    lines = trace.read()
    return parse(lines) if lines else None
