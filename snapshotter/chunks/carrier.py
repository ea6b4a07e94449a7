"""What is asked for of a blob, who brings it, and who is handed what came."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from snapshotter.chunks.fetching import Purpose
from snapshotter.chunks.turns import Turns

BATCH: Final = 1 << 20
"""Most bytes of the data area that are handed over at once, if that is not one chunk: a hop between
threads costs as much as a small chunk, and who waits for a chunk waits for all it came with."""

Cut: TypeAlias = Callable[[int, int], memoryview]
"""Gives bytes `[start, end)` of the blob to a worker thread, which may have to wait for them."""
Keep: TypeAlias = Callable[[int, Cut, list[bytes]], Coroutine[Any, Any, None]]
"""(low, cut, windows): makes chunks from `low` on, as many as there are windows, and keeps them."""
Fetched: TypeAlias = dict[Purpose, int]
"""Bytes of the blob that came, by what they were fetched for."""


@dataclass(frozen=True, slots=True)
class Run:
    """Chunks `[low, high)`, fetched together."""

    low: int
    wanted: int
    """Chunks from this one on are brought along."""
    high: int
    purpose: Purpose


class Carrier(Protocol):
    """Brings bytes of one blob."""

    @property
    def threads(self) -> Turns:
        """They make chunks of what it brings."""
        ...

    async def carry(self, run: Run, keep: Keep, fetched: Fetched) -> None:
        """Have the bytes of all chunks of a run come, and each chunk kept; count them.

        Raises what goes wrong, or a group of it.
        """
        ...

    async def doubt(self, chunk: int) -> None:
        """Hear that a chunk came out wrong: it had better come from elsewhere next time."""
        ...
