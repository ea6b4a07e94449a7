"""What reads of block files had to wait for.

Race-free: the event loop's thread only.
"""

import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, TypeVar

from bootseer.errors import BootseerError

Data = TypeVar("Data", bytes, bytearray, bytes | bytearray)


class Source(StrEnum):
    """Where the bytes of a read came from. A read of several is of the one that took longest."""

    CACHE = "cache"
    """All of it was on this node."""
    JOINED = "joined"
    """Some of it was on its way already, prefetched or for another read."""
    DEMAND = "demand"
    """Some of it had to be fetched because of this read."""


_ORDER = tuple(Source)


def slowest(*sources: Source) -> Source:
    """Return the source that a read of all these has."""
    return max(sources, key=_ORDER.index, default=Source.CACHE)


Counts: TypeAlias = dict[Source, int]


def _zeros() -> Counts:
    return dict.fromkeys(Source, 0)


@dataclass(slots=True)
class ReadCounters:
    """Reads that the kernel asked for, by source."""

    reads: Counts = field(default_factory=_zeros)
    bytes: Counts = field(default_factory=_zeros)
    seconds: dict[Source, float] = field(default_factory=lambda: dict.fromkeys(Source, 0.0))
    """Time until the answers were complete."""
    failed: int = 0
    """Reads that ended in an I/O error."""

    def count_at_once(self, size: int) -> None:
        """Count a read whose answer was complete without waiting for anything."""
        self.reads[Source.CACHE] += 1
        self.bytes[Source.CACHE] += size

    async def count(self, read: Awaitable[tuple[Data, Source]]) -> Data:
        """Return what a read gives, counted."""
        began = time.monotonic()
        try:
            data, source = await read
        except (BootseerError, OSError):
            self.failed += 1
            raise
        self.reads[source] += 1
        self.bytes[source] += len(data)
        self.seconds[source] += time.monotonic() - began
        return data
