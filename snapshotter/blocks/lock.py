"""One keeper a root directory: a lock that dies with its holder. Stdlib only: the keeper uses it.

The store's own lock (`snapshots.rootlock`) comes too late: a second keeper would by then have
unmounted the block files under the first one's containers.
"""

import fcntl
import os
from pathlib import Path

FILE = "keeper.lock"


def take(root: Path) -> int:
    """Lock a root directory; return the descriptor that holds the lock until it is closed.

    BlockingIOError if a keeper has it.
    """
    descriptor = os.open(root / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
