"""What came last, in memory: who asks for it soon finds it there.

Most of what is fetched is read once, a moment later, and is then in the page cache of the block
file that it was read by. So it is written past the page cache of the cache file (`past_cache`), and
read from here. What was pushed out by what came after it is read from the disk.

Race-free: the event loop's thread only. Bytes of a chunk never change once they were verified, so
nothing here is ever out of date; what is evicted from the disk may stay here a while.
"""

from bisect import bisect_right, insort
from collections import OrderedDict
from typing import Final

_MOST: Final = 32 << 20


class Fresh:
    """How much all layers keep, and which of it is the oldest."""

    def __init__(self, most: int = _MOST) -> None:
        """`most`: bytes that are kept."""
        self._most = most
        self._sizes: OrderedDict[tuple[Shelf, int], int] = OrderedDict()
        self.bytes = 0
        """Bytes that are kept now."""

    def added(self, shelf: "Shelf", start: int, size: int) -> None:
        """Count a piece of a shelf; the oldest ones are dropped until there is room."""
        self.removed(shelf, start)
        self._sizes[shelf, start] = size
        self.bytes += size
        while self.bytes > self._most:
            oldest, at = next(iter(self._sizes))
            oldest.drop(at)

    def removed(self, shelf: "Shelf", start: int) -> None:
        """Count a piece no more, if it was counted."""
        self.bytes -= self._sizes.pop((shelf, start), 0)

    def clear(self) -> None:
        """Drop everything."""
        for shelf, start in list(self._sizes):
            shelf.drop(start)


class Shelf:
    """What came last of one layer's data area."""

    __slots__ = ("_fresh", "_pieces", "_starts")

    def __init__(self, fresh: Fresh) -> None:
        """`fresh`: what all layers share."""
        self._fresh = fresh
        self._pieces: dict[int, memoryview] = {}
        self._starts: list[int] = []
        """Of the pieces, ascending."""

    def put(self, start: int, data: memoryview) -> None:
        """Keep the bytes from `start` on. Pieces do not overlap, unless they start alike."""
        if start not in self._pieces:
            insort(self._starts, start)
        self._pieces[start] = data
        self._fresh.added(self, start, len(data))

    def get(self, offset: int, length: int) -> bytes | None:
        """Return bytes if all of them are here; `length` is above 0."""
        found, at, end = [], offset, offset + length
        row = bisect_right(self._starts, offset) - 1
        while at < end:
            if not 0 <= row < len(self._starts):
                return None
            start = self._starts[row]
            piece = self._pieces[start][max(at - start, 0) : end - start]
            if start > at or not piece:
                return None
            found.append(piece)
            at += len(piece)
            row += 1
        return b"".join(found)

    def drop(self, start: int) -> None:
        """Forget a piece that is here."""
        del self._pieces[start]
        self._starts.remove(start)
        self._fresh.removed(self, start)

    def clear(self) -> None:
        """Forget all pieces."""
        for start in list(self._starts):
            self.drop(start)
