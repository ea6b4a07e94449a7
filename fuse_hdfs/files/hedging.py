"""When to ask another copy as well, because the first one takes long.

A read is late when it takes several times what reads usually take. Of all reads only a small share
is asked for twice, so that a store which is slow as a whole is not made slower.

Race-free: one event loop's thread; nothing here awaits but `first_of`, which shares nothing.
"""

import asyncio
import contextlib
import statistics
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

_RECENT: Final = 64
_LATE: Final = 3.0
"""Times the median."""
_LEAST_S: Final = 0.25
_SHARE: Final = 0.1
_FREE: Final = 8
"""Reads that may be asked for twice before there is a share to speak of."""


class Hedging:
    """Knows how long reads take."""

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=_RECENT)
        self._reads = 0
        self.hedges = 0
        """Reads that were asked for twice."""
        self.won = 0
        """Of these, those whose second answer came first."""

    def took(self, seconds: float) -> None:
        """Take note of a read."""
        self._took.append(seconds)
        self._reads += 1

    @property
    def patience(self) -> float | None:
        """Seconds after which a read is late; None if nothing is known yet, or enough is hedged."""
        if len(self._took) < _RECENT // 4 or self.hedges >= _FREE + self._reads * _SHARE:
            return None
        return max(_LEAST_S, _LATE * statistics.median(self._took))


async def first_of(
    first: "asyncio.Task[bytes]", second: Callable[[], Awaitable[bytes]]
) -> tuple[bytes, bool]:
    """Return which of two answers comes first, and whether it is the second's.

    An answer that fails is none. If both fail, what the first one raised is raised.
    """
    other = asyncio.ensure_future(second())
    try:
        await asyncio.wait((first, other), return_when=asyncio.FIRST_COMPLETED)
        if first.done() and not first.exception():
            return first.result(), False
        with contextlib.suppress(OSError):
            if other.done() or first.done():
                return await other, True
        return await first, False
    finally:
        for one in (first, other):
            one.cancel()
        await asyncio.gather(first, other, return_exceptions=True)
