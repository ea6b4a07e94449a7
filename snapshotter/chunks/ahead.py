"""When to fetch beyond what was asked for. A pure state machine, one for each layer.

Reads that go on where an earlier one ended are a stream; each stream has a window that doubles
every time the reader reaches into it, from `first` up to `most` bytes of the blob. Everything
else is a lone miss, for which nothing is guessed: an image's start jumps about, and a wrong guess
costs the link twice.

Race-free because it is called from the event loop only and never awaits.
"""

from collections import OrderedDict
from typing import Final

_STREAMS: Final = 16


class Ahead:
    """Remembers where streams are expected to go on: chunk number -> window in bytes."""

    __slots__ = ("_expected", "_first", "_most")

    def __init__(self, *, first: int, most: int) -> None:
        self._first = first
        self._most = most
        self._expected: OrderedDict[int, int] = OrderedDict()

    def __contains__(self, chunk: int) -> bool:
        """Say whether a stream is expected to touch this chunk next."""
        return chunk in self._expected

    def touch(self, low: int, high: int) -> int:
        """Note a read of chunks `[low, high)`; return the bytes worth fetching behind `high`."""
        window = self._expected.pop(low, None)
        if window is None:
            self._expect(high, self._first)
            return 0
        grown = min(window * 2, self._most)
        self._expect(high, grown)
        return window

    def _expect(self, chunk: int, window: int) -> None:
        self._expected[chunk] = window
        self._expected.move_to_end(chunk)
        while len(self._expected) > _STREAMS:
            self._expected.popitem(last=False)
