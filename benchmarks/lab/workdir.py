"""A lab's directory: a short path (sockets live in it), freed of mounts before it is removed."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.lab.cleanup import unmount_below
from benchmarks.lab.labname import PREFIX, fresh_name, orphaned

PARENT: Final = Path("/var/tmp")
"""On disk: /tmp may be a tmpfs, from which EROFS images cannot be mounted."""


@contextlib.contextmanager
def work_directory() -> Iterator[Path]:
    """Give an empty directory; what is mounted below it is unmounted, then it is removed."""
    sweep()
    path = PARENT / fresh_name()
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        _remove(path)


def sweep() -> None:
    """Remove the directories of labs whose process is gone."""
    for path in PARENT.glob(f"{PREFIX}-*"):
        if orphaned(path.name):
            _remove(path)


def _remove(path: Path) -> None:
    unmount_below(path)
    shutil.rmtree(path, ignore_errors=True)
