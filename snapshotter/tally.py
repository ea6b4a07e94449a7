"""Sums of counters whose owners come and go: a total never goes down when a layer is removed.

Race-free: the event loop's thread only.
"""

from dataclasses import fields
from typing import Any, ClassVar, Generic, Protocol, TypeVar


class Counters(Protocol):
    """A dataclass of numbers and of dicts of numbers, whose fields all have defaults."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


C = TypeVar("C", bound=Counters)


def add(into: Counters, more: Counters) -> None:
    """Add the counts of `more`, which is of the same class."""
    for field in fields(into):
        one, other = getattr(into, field.name), getattr(more, field.name)
        if isinstance(one, dict):
            for key, value in other.items():
                one[key] = one.get(key, 0) + value
        else:
            setattr(into, field.name, one + other)


class Tally(Generic[C]):
    """The counters of one class, of those that count and of those that are gone."""

    def __init__(self, kind: type[C]) -> None:
        """`kind()` has all counts at zero."""
        self._kind = kind
        self._gone = kind()
        self._present: list[C] = []

    def join(self, counters: C) -> C:
        """Count these from now on; return them."""
        self._present.append(counters)
        return counters

    def leave(self, counters: C) -> None:
        """Keep what these have counted so far: they will not change any more."""
        self._present = [one for one in self._present if one is not counters]
        add(self._gone, counters)

    def total(self) -> C:
        """Return the sum of all."""
        total = self._kind()
        for counters in (self._gone, *self._present):
            add(total, counters)
        return total
