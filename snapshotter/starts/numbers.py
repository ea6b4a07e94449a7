"""Numbers of hot areas and recordings, each given out once on a node.

A number is part of an inode number of the FUSE mount, and the kernel remembers inodes: one that
came back soon with other contents could show what was. After the largest one they begin again at 1.

Race-free: the event loop's thread only; the file is replaced in one step before a number is used.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bootseer.atomic import write_atomic
from snapshotter.blocks.names import MOST_NUMBER, BlockName


class Numbers:
    """Counts, in a file of its own."""

    def __init__(self, path: Path, used: Iterable[int] = ()) -> None:
        """Go on where the file `path` says; if it is missing or damaged, behind those `used`."""
        self._path = path
        try:
            self._last = int(path.read_text()) % MOST_NUMBER
        except (OSError, ValueError):
            self._last = max(used, default=0)

    def take(self) -> int:
        """Return the next number, 1 to `MOST_NUMBER`. OSError if the disk does not take it."""
        number = self._last % MOST_NUMBER + 1
        write_atomic(self._path, f"{number}\n".encode(), durable=False)
        self._last = number
        return number


def numbers_on_disk(layers: Path) -> Iterator[int]:
    """Yield the numbers of the hot areas and recordings below the directory of all layers."""
    for path in layers.glob("*/[hr]*"):
        if block := BlockName.parse(path.parent.name + path.name):
            yield block.variant.number
