"""What lies behind the last miss, fetched beside what is asked for.

A start-up is one thread that faults, waits, computes, faults again; one request at a time leaves
the link idle half of the time. So there is always one more under way, for the chunks behind the
newest miss: programs go on near where they were more often than not. A wrong guess costs a share of
the link for one short request; the filler turns to the new place at every miss and stops when it
has had its reach.

Race-free: one task at a time (`_running`), which looks at the target anew after every await; all
fields belong to the event loop's thread.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol


class Fillable(Protocol):
    """What the filler needs of a layer's reader."""

    def next_missing(self, chunk: int, reach: int) -> tuple[int, int] | None:
        """Return the next run of chunks that are neither at hand nor on their way, for one request,
        if it begins within `reach` bytes of the blob from `chunk` on."""
        ...

    def fetch_idle(self, low: int, high: int) -> Awaitable[object]:
        """Start to fetch a run; done when it was fetched or failed. Never raises."""
        ...


class Filler:
    """One for all layers: they share the link."""

    def __init__(self, reach: int, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """`reach`: bytes of the blob behind a miss that are worth fetching; 0 turns it off."""
        self._reach = reach
        self._spawn = spawn
        self._target: tuple[Fillable, int] | None = None
        self._running = False

    def missed(self, layer: Fillable, chunk: int) -> None:
        """Note a miss; `chunk` is the one behind it."""
        if self._reach:
            self._target = (layer, chunk)
            if not self._running:
                self._running = True
                self._spawn(self._run())

    async def _run(self) -> None:
        try:
            while self._target is not None:
                layer, start = self._target
                run = layer.next_missing(start, self._reach)
                if run is None:
                    self._target = None
                else:
                    await layer.fetch_idle(*run)
        finally:
            self._running = False
