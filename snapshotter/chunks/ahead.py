"""When to fetch beyond what was asked for. A pure state machine, one for each layer.

A read that goes on where an earlier one ended continues a run; as much as a run has read so far is
worth fetching ahead of it, from `least` up to `most` bytes of the data area. So a guess never costs
more than what was read in order already. It is made anew when an eighth of it was read, not for
every page that somebody touches: looking for what of it is missing costs more than a small read.
Everything else is a lone read, for which nothing is guessed: a start-up jumps about in its
libraries, often from one chunk to the next, and chunks that were fetched in vain cost the link
twice.

Race-free because it is called from the event loop only and never awaits.
"""

from collections import OrderedDict
from typing import Final

_RUNS: Final = 32
_SLACK: Final = 64 << 10
"""A read that skips no more than this still continues a run: small files lie side by side."""
_BUCKET: Final = 17


class Ahead:
    """Remembers runs by where they ended, in 128 KiB of the data area: (end, bytes read in order,
    where it was when a guess was made last)."""

    __slots__ = ("_least", "_most", "_runs")

    def __init__(self, *, least: int, most: int) -> None:
        """`least`, `most`: bytes of the data area."""
        self._least = least
        self._most = most
        self._runs: OrderedDict[int, tuple[int, int, int]] = OrderedDict()

    def touch(self, offset: int, length: int) -> int:
        """Note a read; return how many bytes behind its end are worth having, 0 if none or if that
        was said not long ago.
        """
        read, guessed = length, 0
        for bucket in (offset >> _BUCKET, (offset >> _BUCKET) - 1):
            run = self._runs.get(bucket)
            if run is not None and run[0] <= offset <= run[0] + _SLACK:
                del self._runs[bucket]
                read += run[1]
                guessed = run[2]
                break
        end = offset + length
        window = min(read, self._most) if read >= self._least else 0
        if end - guessed < window // 8:
            window = 0
        self._runs[end >> _BUCKET] = (end, read, end if window else guessed)
        self._runs.move_to_end(end >> _BUCKET)
        if len(self._runs) > _RUNS:
            self._runs.popitem(last=False)
        return window

    def is_run(self, end: int) -> bool:
        """Say whether the read that was noted last to end here goes on with a run."""
        run = self._runs.get(end >> _BUCKET)
        return run is not None and run[0] == end and run[1] >= self._least
