"""One at a time: a lock file that the kernel releases when its holder dies (flock(2))."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from tooling.progress import say


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock `path` during the block; wait while another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another setup is running, waiting for it (lock {path})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
