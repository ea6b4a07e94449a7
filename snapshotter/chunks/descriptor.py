"""A file descriptor that nobody is left holding when it is closed.

The number of a closed descriptor is soon another file's: a worker thread that still wrote to it
would write into that. So a descriptor is closed when its last user is done, and whoever comes later
gets an error.

Race-free: `_users` and `_closed` are read and changed under the lock; the descriptor is closed by
the one who finds both that it is to be closed and that nobody uses it.
"""

import errno
import os
import threading
from types import TracebackType


class Descriptor:
    """An open file: `with descriptor as number` to use it, in any thread."""

    __slots__ = ("_closed", "_lock", "_number", "_users")

    def __init__(self, number: int) -> None:
        """Take over an open descriptor."""
        self._number = number
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False

    def __enter__(self) -> int:
        """Return the number, valid until the block ends. OSError once it was closed."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._users += 1
        return self._number

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it if that was wanted meanwhile."""
        with self._lock:
            self._users -= 1
            last = self._closed and not self._users
        if last:
            os.close(self._number)

    def close(self) -> None:
        """Close it now, or with its last user. Once more does nothing."""
        with self._lock:
            last = not self._closed and not self._users
            self._closed = True
        if last:
            os.close(self._number)
