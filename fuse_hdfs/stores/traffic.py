"""What is read from and written to whom, counted: machines of a store, or stripes of files.

Race-free: one event loop's thread.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_MOST: Final = 4_096
"""Names that are told apart."""
_OTHERS: Final = "others"
_WEIGHT: Final = 0.2
"""Of the newest call in a speed."""
_TELLING: Final = 64 << 10
"""Bytes from which a call says something of a speed."""
_ENOUGH: Final = 5
"""Calls after which a speed is known."""
_SLOW: Final = 3.0
"""So many times slower than the middle one is slow."""


class Direction(StrEnum):
    """Of bytes."""

    READ = "read"
    WRITE = "write"


@dataclass(slots=True)
class Counters:
    """Calls to one name in one direction. Counters only grow, but for `under_way`."""

    calls: int = 0
    bytes: int = 0
    seconds: float = 0.0
    """While bytes were waited for, or to be taken, summed."""
    failed: int = 0
    under_way: int = 0
    speed: float = 0.0
    """Bytes a second of the last calls."""
    telling: int = 0
    """Calls that the speed is of."""


@dataclass(slots=True)
class Call:
    """One call."""

    bytes: int = 0
    idle: float = 0.0
    """Seconds in which it had nothing to do."""


class Traffic:
    """Counters by name and direction."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, Direction], Counters] = {}
        self.retries = 0
        """Calls that were done again after a failure."""

    @property
    def counters(self) -> Mapping[tuple[str, Direction], Counters]:
        """All of them."""
        return self._counters

    @contextlib.contextmanager
    def call(self, name: str, direction: Direction) -> Iterator[Call]:
        """Count what is done inside; whoever does it says how many bytes that is."""
        counters = self._of(name, direction)
        call, begun = Call(), time.monotonic()
        counters.under_way += 1
        try:
            yield call
        except asyncio.CancelledError:
            raise
        except BaseException:
            counters.failed += 1
            raise
        finally:
            counters.under_way -= 1
            _add(counters, call, max(0.0, time.monotonic() - begun - call.idle))

    def _of(self, name: str, direction: Direction) -> Counters:
        if (name, direction) not in self._counters and len(self._counters) >= _MOST:
            name = _OTHERS
        return self._counters.setdefault((name, direction), Counters())


def _add(counters: Counters, call: Call, seconds: float) -> None:
    counters.calls += 1
    counters.bytes += call.bytes
    counters.seconds += seconds
    if call.bytes >= _TELLING and seconds > 0:
        speed = call.bytes / seconds
        first = not counters.telling
        counters.speed = speed if first else counters.speed + _WEIGHT * (speed - counters.speed)
        counters.telling += 1


def slow(counters: Mapping[tuple[str, Direction], Counters]) -> set[str]:
    """Return the names that are much slower than the middle one in either direction. Pure."""
    found: set[str] = set()
    for direction in Direction:
        speeds = {
            name: one.speed
            for (name, way), one in counters.items()
            if way is direction and one.telling >= _ENOUGH
        }
        if len(speeds) > 2:
            middle = statistics.median(speeds.values())
            found |= {name for name, speed in speeds.items() if speed * _SLOW < middle}
    return found
