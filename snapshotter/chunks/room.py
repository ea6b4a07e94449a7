"""Says once that the disk takes no more, and once that it does again.

A full disk is hit by every chunk of every layer; what a person needs is one line when it begins and
one when it is over. A disk that is nearly full takes small chunks and refuses large ones: it is
over when nothing was refused for `_QUIET_S`. One object for all layers. The same for the bounds
that the cache was given, when nothing is left that could be evicted.

Race-free: called from worker threads; the state is read and set under a lock.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

_WONT_TAKE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
"""Reasons for which a disk refuses a write while what it has can still be read."""
_QUIET_S: Final = 5.0


class DiskRoom:
    """Whether the disk took what was last written to the cache."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._refused = 0.0
        self._lock = threading.Lock()
        self._refusing = False
        self._closed = False

    @property
    def takes(self) -> bool:
        """Whether new chunks are to be kept, as far as the cache's bounds say."""
        return not self._closed

    def close(self, reason: str) -> None:
        """Keep nothing new until `open`: the cache is as large as it may be. Event loop only."""
        if not self._closed:
            self._closed = True
            do = "raise cache.size or free disk space; until then nothing new is kept"
            log.warning("cache.full", extra={"fields": {"reason": reason, "do": do}})

    def open(self) -> None:
        """Keep chunks again. Event loop only."""
        if self._closed:
            self._closed = False
            log.warning("cache.takes_again")

    @property
    def refusing(self) -> bool:
        """Whether chunks are served without being kept."""
        return self._refusing

    def refused(self, error: OSError) -> bool:
        """Note a failed write; False if the failure is not the disk's refusal but a bug's."""
        if error.errno not in _WONT_TAKE:
            return False
        with self._lock:
            first, self._refusing = not self._refusing, True
            self._refused = self._clock()
        if first:
            fields = {
                "reason": error.strerror,
                "do": "free space below the root directory; until then nothing new is kept",
            }
            log.warning("cache.disk_refuses", extra={"fields": fields})
        return True

    def taken(self) -> None:
        """Note a write that went well."""
        if not self._refusing:
            return
        with self._lock:
            over = self._refusing and self._clock() - self._refused > _QUIET_S
            self._refusing = self._refusing and not over
        if over:
            log.warning("cache.disk_takes_again")
