"""glibc's allocator, told that this process uses large buffers over and over. See mallopt(3).

By default a buffer of 128 KiB or more is mapped for its one use: every page of it faults and is
cleared by the kernel first, which costs the server as much as inflating does. So freed memory is
kept for the next buffer, and given back once nobody reads. Elsewhere (musl) nothing is changed.
"""

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3

_LARGEST_KEPT: Final = 32 << 20
"""The most that glibc takes for M_MMAP_THRESHOLD."""
_MOST_KEPT: Final = 64 << 20
"""Freed bytes at the end of an arena, from which on they are given back at once."""
_GROWTH: Final = 1 << 20


def keep_freed_memory() -> None:
    """Have freed buffers kept for the next one. Once, before there are threads."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return
    library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
    library.mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
    library.mallopt(_M_TOP_PAD, _GROWTH)


def give_back_freed_memory() -> None:
    """Return what is free to the kernel: milliseconds, in which no thread can allocate."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
