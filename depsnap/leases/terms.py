"""What a waiting node makes of the lease it sees. Pure.

A lease is a row of *terms*, 1, 2, ...: each is an object, which the first who stores it holds. Its
holder shows that it lives by *beats*, objects with a number that grows. Clocks of two nodes are
never compared: a waiting node takes the next term when it has seen no new beat for so long by its
own clock. Who was paused finds a higher term when it wakes.

A lease saves work and decides nothing: whoever publishes first wins, lease or not.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_TERM: Final = re.compile(r"([0-9]{6})")
_BEAT: Final = re.compile(r"([0-9]{6})\.([0-9]{6})\.([a-z]+)")


class Doing(StrEnum):
    """What the holder of a lease is at."""

    RUNNING = "running"
    KEEPING = "keeping"
    """Packing and storing: it does not beat meanwhile."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest of a lease."""

    term: int = 0
    """0: nobody has it."""
    beat: int = 0
    doing: Doing = Doing.RUNNING


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a holder may be silent, in seconds."""

    running: float = 30.0
    keeping: float = 300.0

    def of(self, seen: Seen) -> float:
        """Return for how long nothing new may be seen."""
        return self.keeping if seen.doing is Doing.KEEPING else self.running


def term_name(term: int) -> str:
    """Return the name of a term's object in the folder of its lease."""
    return f"{term:06d}"


def beat_name(term: int, beat: int, doing: Doing) -> str:
    """Return the name of a beat's object."""
    return f"{term:06d}.{beat:06d}.{doing.value}"


def newest(names: Iterable[str]) -> Seen:
    """Return what the names in a lease's folder say; others are passed over."""
    found = Seen()
    for name in names:
        if match := _TERM.fullmatch(name):
            one = Seen(int(match[1]))
        elif (match := _BEAT.fullmatch(name)) and match[3] in list(Doing):
            one = Seen(int(match[1]), int(match[2]), Doing(match[3]))
        else:
            continue
        if (one.term, one.beat) > (found.term, found.beat):
            found = one
    return found


@dataclass(frozen=True, slots=True)
class Watch:
    """What a waiting node remembers."""

    seen: Seen
    since: float
    """When it saw that first, by its own clock."""

    def next(self, seen: Seen, now: float) -> "Watch":
        """Return the memory after another look."""
        return self if seen == self.seen else Watch(seen, now)

    def may_take(self, now: float, patience: Patience) -> int | None:
        """Return the term to take; None while somebody has the lease and is not silent."""
        if self.seen.term == 0:
            return 1
        if now - self.since >= patience.of(self.seen):
            return self.seen.term + 1
        return None
