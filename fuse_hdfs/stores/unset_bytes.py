"""Bytes that are filled after they were made, as C extensions make theirs.

What is received into a `bytearray` is set to zeros before, and copied once more to be `bytes`: for
units of files, that costs as much as to receive them.
"""

import ctypes
from dataclasses import dataclass

_MADE = ctypes.pythonapi.PyBytes_FromStringAndSize
_MADE.restype = ctypes.py_object
_MADE.argtypes = (ctypes.c_char_p, ctypes.c_ssize_t)
_ADDRESS = ctypes.pythonapi.PyBytes_AsString
_ADDRESS.restype = ctypes.c_void_p
_ADDRESS.argtypes = (ctypes.py_object,)


@dataclass(frozen=True, slots=True)
class Unset:
    """Bytes with any contents, which nobody else may see before they are set."""

    data: bytes
    memory: memoryview
    """Where to set them, as long as `data` is held."""


def unset_bytes(size: int) -> Unset:
    """Make bytes; `size` is above 0."""
    data = _MADE(None, size)
    memory = (ctypes.c_ubyte * size).from_address(_ADDRESS(data))
    return Unset(data, memoryview(memory).cast("B"))
