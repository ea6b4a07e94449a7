"""When is nobody reading? Pure: told how many reads there were, and when.

Checking a layer takes as much of the processor as inflating it twice, so it waits for a pause: a
start or a data loader is not to pay for it. But not for ever: a node that is never quiet must
find out too that an index lies.
"""

from typing import Final

AT_LATEST_S: Final = 300.0
"""Work is not put off for longer than this."""


class Lull:
    """Watches one counter of reads."""

    def __init__(self, quiet_s: float, now: float) -> None:
        """`quiet_s`: seconds without a read that make a lull."""
        self._quiet_s = quiet_s
        self._reads = 0
        self._changed = now
        self._waiting: float | None = None

    def note(self, reads: int, now: float) -> None:
        """Note the state of the counter."""
        if reads != self._reads:
            self._reads, self._changed = reads, now

    def allows(self, now: float) -> bool:
        """Say whether work may begin now; asking says that there is some."""
        if self._waiting is None:
            self._waiting = now
        if now - self._changed < self._quiet_s and now - self._waiting < AT_LATEST_S:
            return False
        self._waiting = None
        return True
