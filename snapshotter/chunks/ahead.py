"""When to fetch beyond what was asked for. A pure state machine, one for each layer.

A read that goes on where an earlier one ended continues a run; as much as a run has read so far is
worth fetching ahead of it, from `least` up to `most` bytes of the data area. So a guess never costs
more than what was read in order already. Everything else is a lone read, for which nothing is
guessed: a start-up jumps about in its libraries, often from one chunk to the next, and chunks that
were fetched in vain cost the link twice.

Race-free because it is called from the event loop only and never awaits.
"""

from collections import OrderedDict
from typing import Final

_RUNS: Final = 32
_SLACK: Final = 64 << 10
"""A read that skips no more than this still continues a run: small files lie side by side."""
_BUCKET: Final = 17


class Ahead:
    """Remembers where runs ended: by 128 KiB of the data area, (end, bytes read in order)."""

    __slots__ = ("_least", "_most", "_runs")

    def __init__(self, *, least: int, most: int) -> None:
        """`least`, `most`: bytes of the data area."""
        self._least = least
        self._most = most
        self._runs: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def touch(self, offset: int, length: int) -> int:
        """Note a read; return how many bytes behind its end are worth having."""
        read = length
        for bucket in (offset >> _BUCKET, (offset >> _BUCKET) - 1):
            run = self._runs.get(bucket)
            if run is not None and run[0] <= offset <= run[0] + _SLACK:
                del self._runs[bucket]
                read += run[1]
                break
        end = offset + length
        self._runs[end >> _BUCKET] = (end, read)
        self._runs.move_to_end(end >> _BUCKET)
        if len(self._runs) > _RUNS:
            self._runs.popitem(last=False)
        return min(read, self._most) if read >= self._least else 0
