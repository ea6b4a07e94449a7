"""When the cold remainder of layers is fetched, and how fast. Pure.

Everything else goes first: what somebody waits for, what is prefetched for a start, and the room
that the machine's programs need. What is left over of a link is bounded as well: a cluster's nodes
start together, and would fill together.
"""

from dataclasses import dataclass
from enum import Enum


class Pause(Enum):
    """Why nothing is filled at the moment."""

    START = "a start is not long enough ago"
    DEMAND = "somebody waits for chunks"
    PREFETCH = "hot blocks are being fetched"
    DISK = "the disk is nearly full"
    CACHE = "the cache is as large as it may be"
    MEMORY = "memory is short"
    REMOTE = "the registry failed a while ago"


@dataclass(frozen=True, slots=True)
class FillRules:
    """Bounds of the fill."""

    rate: int = 16 << 20
    """Bytes a second, compressed; 0 turns it off."""
    after: float = 60.0
    """Seconds from when a layer was opened last."""
    quiet: float = 2.0
    """Seconds without a miss."""
    run: int = 1 << 20
    """Bytes of one request, compressed."""
    least_free: float = 0.1
    """Share of the disk that stays free."""
    least_memory: int = 512 << 20
    """Bytes of memory that stay available."""
    retry: float = 30.0
    """Seconds to wait after a failure."""


@dataclass(frozen=True, slots=True)
class FillState:
    """What the rules look at. Times in seconds of one clock."""

    now: float
    opened: float
    """When a layer was opened last."""
    missed: float
    """When somebody missed a chunk last."""
    failed: float
    """When a fill failed last."""
    prefetching: bool
    crowded: bool
    """The cache has no room for what nobody asked for."""
    free: float
    """Share of the disk that is free."""
    memory: int
    """Bytes of memory that are available."""


def pause(rules: FillRules, state: FillState) -> Pause | None:
    """Return why to wait; None if the next piece may be fetched."""
    reasons = {
        Pause.START: state.now - state.opened < rules.after,
        Pause.DEMAND: state.now - state.missed < rules.quiet,
        Pause.PREFETCH: state.prefetching,
        Pause.DISK: state.free < rules.least_free,
        Pause.CACHE: state.crowded,
        Pause.MEMORY: state.memory < rules.least_memory,
        Pause.REMOTE: state.now - state.failed < rules.retry,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def rest(rules: FillRules, size: int, seconds: float) -> float:
    """Return how long to wait after `size` bytes were fetched in `seconds`."""
    return max(size / rules.rate - seconds, 0.0)
