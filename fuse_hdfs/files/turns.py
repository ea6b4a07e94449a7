"""Who reads of a stripe waits for his turn: so many read at once, in the order in which they came.

A stripe is on one DataNode. Loaders read a file by many threads, and parts of equal size often
begin at the same stripe: if a DataNode gave all of them a little at a time, all would be done at
the same moment and go on to the next one together, and one node would work while the others wait.
By turns the first goes on while the second is served, and soon each is at another node.

Race-free: one event loop's thread; a line is in the table for as long as somebody stands in it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(slots=True)
class _Line:
    turns: asyncio.Semaphore
    users: int = 0


class Turns:
    """A line for each stripe."""

    def __init__(self, at_once: int) -> None:
        """`at_once`: reads of one stripe."""
        self._at_once = at_once
        self._lines: dict[str, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    @contextlib.asynccontextmanager
    async def turn(self, stripe: str) -> AsyncIterator[None]:
        """Have one of the turns for a stripe while the context is open."""
        line = self._lines.setdefault(stripe, _Line(asyncio.Semaphore(self._at_once)))
        line.users += 1
        try:
            async with line.turns:
                yield
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[stripe]
