"""Gives the space of parts of a file back to the file system: fallocate(2) with a hole punched.

What was there reads as zeros afterwards; space comes back for the whole blocks inside.
"""

import ctypes
import os
from typing import Final

_KEEP_SIZE: Final = 1
_PUNCH_HOLE: Final = 2

_libc = ctypes.CDLL(None, use_errno=True)


def punch_hole(descriptor: int, offset: int, length: int) -> None:
    """Make a hole. OSError if the file system cannot."""
    mode = _PUNCH_HOLE | _KEEP_SIZE
    if _libc.fallocate64(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
