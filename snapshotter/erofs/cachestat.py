"""cachestat(2): how much of a file is in the page cache. Linux 6.5; libc may not have it yet.

`struct cachestat_range` and `struct cachestat` are in Linux' `include/uapi/linux/mman.h`.
"""

import ctypes
import os
import struct
from typing import Final

_NUMBER: Final = 451
"""The same on every architecture."""
_RANGE: Final = struct.Struct("=QQ")
"""Offset and length in bytes."""
_FOUND: Final = struct.Struct("=QQQQQ")
"""Pages: in the cache, dirty, under writeback, evicted, evicted not long ago."""
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def pages_seen(descriptor: int, offset: int, length: int) -> int:
    """Return how many pages of a range are in the page cache, or were until memory was needed.

    The kernel remembers the latter for a while. OSError: ENOSYS before Linux 6.5.
    """
    asked = ctypes.create_string_buffer(_RANGE.pack(offset, length), _RANGE.size)
    found = ctypes.create_string_buffer(_FOUND.size)
    number, flags = ctypes.c_long(_NUMBER), ctypes.c_uint(0)
    if _libc.syscall(number, ctypes.c_int(descriptor), asked, found, flags):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    cached, _, _, evicted, _ = _FOUND.unpack(found.raw)
    return int(cached + evicted)
