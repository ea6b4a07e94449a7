"""In which order the parts of a file are read. Pure.

A place is a number of bytes that are read before: whoever reads in this order reads places that
follow each other, wherever they lie in the file. What looks at how a file is read needs no more.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes that are read in order, at one place and in one part of a file."""

    place: int
    start: int
    """Where they lie in the file, and where they end there."""
    end: int
    begins: bool
    """They are the first of their part."""


class Order:
    """The parts of one file; together they are all of it."""

    __slots__ = ("_at", "_parts", "_places", "_starts", "size")

    def __init__(self, size: int, starts: Sequence[int], read: Sequence[int]) -> None:
        """`starts`: where the parts lie, ascending from 0, less than `size`; `read`: the numbers of
        all of them, as they are read."""
        self.size = size
        """Bytes of the file."""
        ends = [*starts[1:], size]
        self._parts = list(read)
        self._starts = list(starts)
        lengths = [ends[part] - starts[part] for part in read]
        self._places = [0, *accumulate(lengths)]
        """By turn; one more for the end."""
        self._at = [0] * len(starts)
        """By part."""
        for turn, part in enumerate(read):
            self._at[part] = self._places[turn]

    def place(self, offset: int) -> int:
        """Return the place of a byte of the file; `size` for that behind the last."""
        if offset >= self.size:
            return self.size
        part = bisect_right(self._starts, offset) - 1
        return self._at[part] + offset - self._starts[part]

    def stretches(self, place: int, length: int) -> Iterator[Stretch]:
        """Return what lies at places `[place, place + length)`, as far as there is any."""
        until = min(place + length, self.size)
        turn = bisect_right(self._places, place) - 1
        while place < until:
            skip = place - self._places[turn]
            take = min(until, self._places[turn + 1]) - place
            start = self._starts[self._parts[turn]] + skip
            if take:
                yield Stretch(place, start, start + take, begins=not skip)
            place += take
            turn += 1


def straight(size: int) -> Order:
    """Return the order of a file that is read from its beginning to its end."""
    return Order(size, [0], [0])
