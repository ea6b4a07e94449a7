"""The next server, ready beside the one that serves: taking over costs no start of a program.

A server says that it is ready before it touches anything, and waits for its turn (see `takeover`).
So one more can wait for as long as wanted; all it takes is memory. It is started once its
predecessor has served for a while, so that neither a node's boot nor a server that dies at once is
burdened with it. Stdlib only: part of the keeper.

Race-free: the keeper's one thread.
"""

import time
from collections.abc import Callable
from typing import Final

from snapshotter.blocks.serverprocess import ServerProcess

_AGAIN_S: Final = 60.0
"""Seconds before the next try when one ended by itself or could not be started."""


class Standby:
    """At most one server that waits."""

    def __init__(self, start: Callable[[], ServerProcess], after_s: float) -> None:
        """`start` starts a server; `after_s`: how long the one before must serve; 0: never."""
        self._start = start
        self._after_s = after_s
        self._next: ServerProcess | None = None
        self._ready = False
        self._due = time.monotonic() + after_s

    def postpone(self) -> None:
        """Begin to wait anew: another server serves from now on."""
        self._due = time.monotonic() + self._after_s

    def look(self) -> int | None:
        """Start one if it is time; return the process id of one that has just become ready."""
        if self._next is None:
            if self._after_s and time.monotonic() >= self._due:
                self._begin()
        elif not self._next.lives():
            self._next.close()
            self._next = None
            self._due = time.monotonic() + _AGAIN_S
        elif not self._ready:
            self._ready = self._next.is_ready(0)
            return self._next.pid if self._ready else None
        return None

    def _begin(self) -> None:
        self._ready = False
        try:
            self._next = self._start()
        except OSError:  # short of memory or processes: the next try is soon enough
            self._due = time.monotonic() + _AGAIN_S

    def take(self) -> ServerProcess | None:
        """Return the one that waits, which is the caller's now; None if there is none."""
        found, self._next = self._next, None
        if found is None:
            return None
        if not found.lives():
            found.close()
            return None
        found.heard = time.monotonic()
        return found

    def drop(self) -> None:
        """End the one that waits: it is of another program, or for another connection."""
        if (found := self.take()) is not None:
            found.kill()
