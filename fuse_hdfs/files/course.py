"""What is brought ahead of who reads a file, in the order in which such a file is read.

Race-free: one event loop's thread. The order is set once, by whoever is first to read the end of
the file; all later reads go by it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from fuse_hdfs.files.ahead import Ahead, Run
from fuse_hdfs.files.order import straight
from fuse_hdfs.files.torch_archive import END, TAIL, looks_like_archive, order_of
from fuse_hdfs.striping.layout import pieces, units_of

_PAGE: Final = 4096
_OVERSHOT: Final = 8 << 20
"""So far the kernel's own read-ahead, which knows no order, goes on where its reader does not."""
_Read: TypeAlias = Callable[[int, int], Awaitable[bytes | memoryview]]
"""(offset, length): returns bytes of the file."""


class Course:
    """How one version of a file is read."""

    def __init__(self, size: int, unit: int) -> None:
        """`size`: bytes of the file; `unit`: of what is brought at once."""
        self._order = straight(size)
        self._unit = unit
        self._patience = 0
        self._looked = size <= TAIL
        """Nothing more is to be found out."""

    def may_be_told(self, end: int) -> bool:
        """Say whether a read up to `end` has what tells the order, which is not known yet."""
        return not self._looked and end >= self._order.size

    async def look(self, last: bytes | memoryview, read: _Read) -> None:
        """Find out in which order the file is read.

        `last`: its end, as far as it was just read; `read` reads more.
        """
        if len(last) < END:
            return
        self._looked = True
        if not looks_like_archive(last):
            return
        size = self._order.size
        with contextlib.suppress(OSError):  # whoever wants these bytes will see it
            tail = await read(size - TAIL, TAIL)
            order = await asyncio.to_thread(order_of, size, tail)
            if order is not None:
                self._order, self._patience = order, _OVERSHOT

    def bring(self, ahead: Ahead, offset: int, length: int, begin: Callable[[int], bool]) -> None:
        """Have what is likely to be read after a read fetched, as long as there is room.

        `begin` is given the number of each unit, and says whether there was.
        """
        if not self._patience:
            run = ahead.after(offset, length)
            self._bring(run, offset + length, begin)
            return
        for piece in pieces(offset, length, self._unit):
            ahead.read[piece.unit] += piece.length

        def begin_once(number: int) -> bool:
            # What was read to its end is with the kernel, also if it is a part of what comes.
            rest = self._order.size - number * self._unit
            return ahead.read[number] >= min(self._unit, rest) or begin(number)

        # The kernel reads whole pages: it is the end of the first that somebody asked for.
        skip = min(_PAGE, length) - 1
        place = max(self._order.place(offset + skip) - skip, 0)
        run = ahead.after(place, length, self._patience)
        self._bring(run, place + length, begin_once)

    def _bring(self, run: Run, end: int, begin: Callable[[int], bool]) -> None:
        """Bring what a run is likely to read behind the place `end`."""
        start, unit = max(end, run.brought), self._unit
        for part in self._order.stretches(start, end + run.window - start):
            # The unit that a stretch goes on in was read or brought before.
            first = part.start // unit if part.begins else units_of(part.start, unit)
            for number in range(first, units_of(part.end, unit)):
                if not begin(number):
                    return
                run.brought = part.place + min(part.end, (number + 1) * unit) - part.start
