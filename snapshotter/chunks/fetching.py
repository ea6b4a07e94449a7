"""How chunks are fetched, why, and what that cost: settings and counters. No I/O.

Race-free: counters are touched by the event loop's thread only.
"""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How fetches are cut and how many run. Sizes in bytes of the compressed blob."""

    demand_run: int = 2 << 20
    """Most bytes that one demand request brings."""
    idle: int = 0
    """Bytes behind a miss that the same request brings, if nobody has them or fetches them."""
    before: int = 0
    """Bytes in front of a miss that a request of their own brings, likewise."""
    around_near: int = 0
    """Both of these, of a blob that is near (`near`)."""
    ahead_run: int = 1 << 20
    """Most bytes that one read-ahead request brings, at the beginning of a run."""
    ahead_run_most: int = 16 << 20
    """The same in a long run: a request costs a registry as much as megabytes do, and what comes
    first of a long one is decoded while the rest is on its way."""
    ahead_least: int = 256 << 10
    """Bytes of the data area read in order before any are fetched ahead."""
    ahead_most: int = 32 << 20
    """Most bytes of the data area that are fetched ahead of a run."""
    ahead_flights: int = 6
    """Read-ahead requests of one layer under way at once."""

    def ahead_request(self, window: int) -> int:
        """Return the most bytes of a read-ahead request for `window` bytes of the data area.

        A quarter of the data, which is about half of what that takes compressed: more than one
        request shares a window, or the reader would wait for each.
        """
        return max(self.ahead_run, min(window // 4, self.ahead_run_most))


class Purpose(StrEnum):
    """Why chunks are fetched."""

    DEMAND = "demand"
    """Somebody reads them."""
    AHEAD = "ahead"
    """Behind what somebody reads in order."""
    LINKED = "linked"
    """The dynamic loader is about to read them."""
    IDLE = "idle"
    """Beside a miss: programs go on near where they were more often than not."""
    PREFETCH = "prefetch"
    """They hold hot blocks."""
    FILL = "fill"
    """Nobody has read them yet, and all of the layer is to be local."""


@dataclass(slots=True)
class Counters:
    """What a layer's reads cost so far, those of the daemon itself included."""

    reads: int = 0
    hits: int = 0
    """Reads whose chunks were all there."""
    demand_misses: int = 0
    """Chunks that were fetched because of a read."""
    joined: int = 0
    """Chunks that a read waited for which were on their way already."""
    fetches: int = 0
    """Requests."""
    fetched: dict[Purpose, int] = field(default_factory=lambda: dict.fromkeys(Purpose, 0))
    """Compressed bytes, by what they were fetched for."""
    failures: int = 0
    """Chunks that could not be had."""
