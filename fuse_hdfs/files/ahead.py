"""How far to read ahead of one reader. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Ahead:
    """Opens up while reads follow each other, closes at the first that does not."""

    least: int
    """Bytes ahead after the second read in order."""
    most: int
    brought: int = 0
    """Units before this one need not be brought again: they were, since the reads are in order."""
    _end: int = 0
    """Where the furthest of the reads in order ended."""
    _window: int = 0

    def after(self, offset: int, length: int) -> int:
        """Take note of a read; return how many bytes behind it to bring.

        The kernel sends the requests of one sequential reader at the same time, and they come in
        any order: a read near the end of the last ones still follows them.
        """
        near = max(self._window, self.least)
        if self._end - near <= offset <= self._end + near:
            if self._end and offset + length > self._end:
                self._window = min(self.most, max(self.least, 2 * self._window))
            self._end = max(self._end, offset + length)
        else:
            self._end, self._window, self.brought = offset + length, 0, 0
        return self._window
