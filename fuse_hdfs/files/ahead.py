"""How far to read ahead of who reads a file in order, by one thread or by many. Pure.

Offsets are places in the order in which the file is read (`order`).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

_MOST_RUNS: Final = 64
_NEAR: Final = 16 << 20
"""A read no further than this from where a run has ended goes on with it, in bytes."""
_BEGINNING: Final = 4
"""The second read of a run is no further from the first than so many times its length."""
_STILL: Final = 8
"""A run is over when those that go on were read so many times each."""


@dataclass(slots=True)
class Run:
    """Reads in order."""

    start: int
    """Where the first of them began."""
    end: int
    """Where the furthest of them ended."""
    window: int = 0
    """Bytes behind that which are worth having."""
    brought: int = 0
    """What is before this place need not be brought again: it was, since the reads are in order."""
    touched: int = 0
    """How many reads of the file there were when it was read last."""


@dataclass(slots=True)
class Ahead:
    """Opens up while reads follow each other; those that follow none open up nothing.

    Fast loaders read one file by many threads, through one descriptor and each a part of its own.
    Each part is a run; they share the bytes that may be ahead.
    """

    least: int
    """Bytes ahead after the second read in order."""
    most: int
    """Bytes ahead of all runs together, but for `least` of each."""
    read: Counter[int] = field(default_factory=Counter)
    """Bytes that were read of each unit, where reads go back and forth."""
    _runs: list[Run] = field(default_factory=list)
    """Those read last are at the end."""
    _reads: int = 0

    def after(self, offset: int, length: int, patience: int = 0) -> Run:
        """Take note of a read; return the run that it goes on with, whose window is to be brought.

        The kernel sends the requests of one sequential reader at the same time, and they come in
        any order: a read near the end of the last ones still follows them. `patience`: bytes that a
        run has to be of before it has a window.
        """
        self._reads += 1
        going = self._end_runs()
        run = min(self._runs, key=lambda one: abs(offset - one.end), default=None)
        if run is None or abs(offset - run.end) > self._near(run, length):
            run = Run(offset, offset + length)
            del self._runs[: len(self._runs) + 1 - _MOST_RUNS]
        else:
            self._runs.remove(run)
            if offset + length > run.end:
                run.end = offset + length
                if run.end - run.start > patience:
                    share = self.most // (going + (not run.window))
                    run.window = max(self.least, min(2 * run.window, share))
        self._runs.append(run)
        run.touched = self._reads
        return run

    def _near(self, run: Run, length: int) -> int:
        """Return how far from the end of a run a read may be that goes on with it, in bytes."""
        return max(self.least, min(run.window, _NEAR)) if run.window else _BEGINNING * length

    def _end_runs(self) -> int:
        """Close what nobody reads any more; return how many runs go on."""
        going = [run for run in self._runs if run.window]
        since = self._reads - _STILL * (len(going) + 1)
        for run in going:
            if run.touched < since:
                run.window = run.brought = 0
        return sum(run.window > 0 for run in going)
