"""Use of an idle link: what lies behind the last miss, until somebody asks for something else.

A start-up is one thread that faults, waits, computes, faults again; between two misses the link
would idle. The filler fetches the chunks behind the newest miss, one request at a time, only while
no demand is under way, and turns to the new place as soon as there is a new miss. A wrong guess
costs time in which nothing else was to be had, and at most the rest of one short request.

Race-free: one task at a time (`_running`), which looks at the target anew after every await; all
fields belong to the event loop's thread.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol


class Fillable(Protocol):
    """What the filler needs of a layer's reader."""

    def next_missing(self, chunk: int, reach: int) -> int | None:
        """Return the first chunk from `chunk` that is neither at hand nor on its way, if it lies
        within `reach` bytes of the blob."""
        ...

    def fetch_idle(self, chunk: int) -> Awaitable[object]:
        """Start to fetch a chunk; done when it was fetched or failed. Never raises."""
        ...


class Filler:
    """One for all layers: they share the link."""

    def __init__(self, reach: int, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """`reach`: bytes of the blob behind a miss that are worth fetching; 0 turns it off."""
        self._reach = reach
        self._spawn = spawn
        self._target: tuple[Fillable, int] | None = None
        self._running = False
        self._demands = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def demand_began(self) -> None:
        """Note that somebody waits for a chunk."""
        self._demands += 1
        self._idle.clear()

    def demand_ended(self, layer: Fillable, chunk: int) -> None:
        """Note that somebody got what he waited for; `chunk` is the one behind it."""
        self._demands -= 1
        if not self._demands:
            self._idle.set()
        if self._reach:
            self._target = (layer, chunk)
            if not self._running:
                self._running = True
                self._spawn(self._run())

    async def _run(self) -> None:
        try:
            while self._target is not None:
                await self._idle.wait()
                layer, start = self._target
                chunk = layer.next_missing(start, self._reach)
                if chunk is None:
                    self._target = None
                else:
                    await layer.fetch_idle(chunk)
        finally:
            self._running = False
