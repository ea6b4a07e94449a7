"""The process that has block files read into the page cache: see `pagecache`.

Lines on standard input: path, offset and length, separated by spaces. It ends with its input, or
with its parent. What cannot be read ahead is passed over: it is read when it is needed.
"""

import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from snapshotter.parent import die_with_parent

_STEP: Final = 512 << 10
"""Bytes asked for at once: the kernel cuts a request to its read-ahead window. That is half as much
by default, and is doubled for a file that it was told is read in order."""
_MOST: Final = 8
"""Files that are kept open: those of one image, about."""


def read_ahead(lines: Iterable[bytes]) -> None:
    """Ask the kernel to read what the lines say."""
    files: OrderedDict[bytes, int] = OrderedDict()
    try:
        for line in lines:
            path, offset, length = line.rsplit(maxsplit=2)
            start, end = int(offset), int(offset) + int(length)
            with suppress(OSError):
                number = _opened(files, path)
                for at in range(start, end, _STEP):
                    os.posix_fadvise(number, at, min(_STEP, end - at), os.POSIX_FADV_WILLNEED)
    finally:
        for number in files.values():
            os.close(number)


def _opened(files: "OrderedDict[bytes, int]", path: bytes) -> int:
    if path not in files:
        # O_NOATIME: what we read says nothing of what containers do (`filesystem`).
        files[path] = os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC)
        os.posix_fadvise(files[path], 0, 0, os.POSIX_FADV_SEQUENTIAL)
        if len(files) > _MOST:
            os.close(files.popitem(last=False)[1])
    files.move_to_end(path)
    return files[path]


if __name__ == "__main__" and die_with_parent(signal.SIGKILL, os.getppid()):
    read_ahead(sys.stdin.buffer)
