"""For how long what went to a machine that is lost is sent again to others. No I/O but the clock.

Machines that are lost are missed late: with several copies one that hangs spoils as well what
others pass on to it, until the NameNode has missed it; and a DataNode that waits for another one,
for a minute as a rule, may let what else we send it wait behind that.
"""

import errno
import time
from typing import Final

_LOST: Final = frozenset({errno.EIO, errno.ETIMEDOUT})
"""Errors after which another machine may do better."""
_MADE_LATE: Final = frozenset({errno.EEXIST, errno.EBUSY})
"""Errors that mean, of a name only we use: a machine that was given up has made it after all."""
_TIMES: Final = 5
"""Times that something is sent, at least, while no attempt succeeds."""
_PAUSE_S: Final = 0.5
"""Before the second time; twice as long before each further one. What cannot be reached fails at
once, and all times would be over before the NameNode misses it."""
_PAUSE_MOST_S: Final = 8.0


class Again:
    """The attempts to send one thing."""

    def __init__(self, long_s: float) -> None:
        """`long_s`: for so many seconds it is sent again in any case."""
        self._long_s = long_s
        self._first: float | None = None
        self.failed = 0
        """Attempts that failed."""

    def pause(self, error: OSError) -> float | None:
        """Return for how many seconds to wait after a failure; None: another attempt won't help."""
        now = time.monotonic()
        self._first = now if self._first is None else self._first
        late = self.failed and error.errno in _MADE_LATE
        self.failed += 1
        over = self.failed >= _TIMES and now > self._first + self._long_s
        if over or not (late or error.errno in _LOST):
            return None
        return float(min(_PAUSE_S * 2 ** (self.failed - 1), _PAUSE_MOST_S))
