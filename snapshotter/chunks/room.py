"""Says once that the disk takes no more, and once that it does again.

A full disk is hit by every chunk of every layer; what a person needs is one line when it begins and
one when it is over. One object for all layers.

Race-free: called from worker threads; the state is one flag that is read and set under a lock.
"""

import errno
import logging
import threading
from typing import Final

log = logging.getLogger(__name__)

_WONT_TAKE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
"""Reasons for which a disk refuses a write while what it has can still be read."""


class DiskRoom:
    """Whether the disk took what was last written to the cache."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refusing = False

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
            was, self._refusing = self._refusing, False
        if was:
            log.warning("cache.disk_takes_again")
