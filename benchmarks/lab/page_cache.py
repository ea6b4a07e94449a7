"""What the kernel has in memory of files: nothing on a new node, all on a server that serves.

In a lab node and servers share one kernel and its page cache. A registry that was just given an
image, or that serves it to a hundred nodes, does not read it from its disk for each of them.
"""

import contextlib
import mmap
import subprocess
from collections.abc import Iterable
from pathlib import Path


def drop_caches() -> None:
    """Forget what the kernel has cached of files, names and inodes."""
    subprocess.run(["sync"], check=True)
    Path("/proc/sys/vm/drop_caches").write_text("3")


def drop_all_but(served: Iterable[Path]) -> None:
    """Forget it, but for these files, which servers have in memory: they are other machines.

    What a process has mapped the kernel does not drop; so nothing is read from the disk again,
    which would be busy with it when the start begins.
    """
    with contextlib.ExitStack() as mapped:
        for path in served:
            # ValueError: it is empty.
            with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
                flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
                mapped.enter_context(mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ))
        drop_caches()
