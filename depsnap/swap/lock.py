"""One at a time works on a root: a lock on this machine, waited for and not for ever.

The kernel gives it back when its holder dies. Whoever gets it has to look again: what he wanted to
do may have been done meanwhile.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bootseer.errors import HostError
from depsnap.swap.workplace import HIDDEN

_POLL_S: Final = 0.05
_TELL_S: Final = 10.0


@contextlib.contextmanager
def locked(root: Path, patience: float, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a root; `patience` is in seconds, `tell` is told that one waits.

    Raises:
        HostError: somebody else held it all the time, or it cannot be made.
    """
    try:
        (root / HIDDEN).mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root / HIDDEN / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    try:
        _wait(descriptor, root, patience, tell)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, root: Path, patience: float, tell: Callable[[str], None]) -> None:
    began = time.monotonic()
    told = began - _TELL_S
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        now = time.monotonic()
        if now - began > patience:
            raise HostError(f"{root}: another process worked on it for {patience:.0f} s")
        if now - told >= _TELL_S:
            tell(f"another process works on {root}; waiting ({now - began:.0f} s)")
            told = now
        time.sleep(_POLL_S)
