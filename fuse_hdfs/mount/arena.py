"""Memory of the C library: one heap for all threads.

Units are made in one thread and dropped in another. With a heap for each thread what is dropped is
of no use to the others, and a bound on what is used is none on what the process takes.
"""

import ctypes
from typing import Final

_ARENA_MAX: Final = -8
"""M_ARENA_MAX of mallopt(3)."""


def use_one_arena() -> None:
    """Have no further heaps made. Where the C library has no such thing, nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
