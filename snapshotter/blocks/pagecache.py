"""Puts bytes of block files into the kernel's page cache before anybody asks for them.

FUSE_NOTIFY_STORE (Linux `include/uapi/linux/fuse.h`): an unsolicited message with bytes of a file
that the kernel knows. It waits while a page is being read, so it is for worker threads: the event
loop has to answer that read.

Race-free: what `/proc/meminfo` said last and when may be stale, which costs nothing; the counters
are changed under a lock, for worker threads store side by side.
"""

import errno
import os
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STORE: Final = 4
_HEADER: Final = struct.Struct("<IiQQQII")
"""fuse_out_header (length, code, unique 0), fuse_notify_store_out (node, offset, size, padding)."""
_PIECE: Final = 1 << 20
_LOOK_S: Final = 0.5
_LEFT: Final = 1 << 30
"""Memory that is left to programs: with less available nothing is put into the page cache."""
_GONE: Final = frozenset({errno.ENOENT, errno.EINVAL, errno.ENOMEM, errno.ENODEV, errno.EOPNOTSUPP})
"""The kernel does not know the file (yet), or won't: the bytes are read when they are needed."""


@dataclass(slots=True)
class PageCacheCounters:
    """What became of bytes that were to be put into the page cache."""

    stored_bytes: int = 0
    refused_bytes: int = 0
    """Memory was short, or the kernel does not have the file open."""


class PageCache:
    """The page cache behind one FUSE connection."""

    def __init__(self, device: int, meminfo: Path = Path("/proc/meminfo")) -> None:
        """`device`: the descriptor of the connection, open as long as this is used."""
        self._device = device
        self._meminfo = meminfo
        self._looked = float("-inf")
        self._room = False
        self._lock = threading.Lock()
        self.counters = PageCacheCounters()

    def store(self, inode: int, offset: int, data: bytes | bytearray | memoryview) -> bool:
        """Put bytes of a block file into the page cache (blocking).

        False if there is not enough memory, or the kernel does not have the file open.
        """
        view = memoryview(data)
        stored = self._store(inode, offset, view) if self._has_room() else 0
        with self._lock:
            self.counters.stored_bytes += stored
            self.counters.refused_bytes += len(view) - stored
        return stored == len(view)

    def _store(self, inode: int, offset: int, view: memoryview) -> int:
        """Return how many bytes were stored."""
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            length = _HEADER.size + len(piece)
            head = _HEADER.pack(length, _STORE, 0, inode, offset + start, len(piece), 0)
            try:
                os.writev(self._device, (head, piece))
            except OSError as error:
                if error.errno in _GONE:
                    return start
                raise
        return len(view)

    def _has_room(self) -> bool:
        now = time.monotonic()
        if now - self._looked > _LOOK_S:
            self._looked = now
            self._room = available(self._meminfo.read_text(encoding="ascii")) > _LEFT
        return self._room


def available(meminfo: str) -> int:
    """Return the bytes that programs can still have, as /proc/meminfo says; 0 if it does not."""
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if name == "MemAvailable" and number and number[0].isdecimal():
            return int(number[0]) * 1024
    return 0
