"""Columns of whole numbers <-> bytes that compress well. Pure, and without NumPy.

A column is stored as byte planes, all lowest bytes first, then all second bytes and so on: the high
bytes of sizes and owners are nearly all the same.
"""

import sys
from array import array
from collections.abc import Sequence
from typing import Final

_WIDTHS: Final = {"H": 2, "I": 4, "i": 4, "q": 8}
"""Bytes of a number, by the code that `array` has for it. Lower case has a sign."""


def size_of(code: str, count: int) -> int:
    """Return the bytes of a column of `count` numbers."""
    return count * _WIDTHS[code]


def planes_of(code: str, values: Sequence[int]) -> bytes:
    """Return a column's bytes. OverflowError if a number does not fit."""
    column = array(code, values)
    if sys.byteorder == "big":
        column.byteswap()
    raw = column.tobytes()
    return b"".join(raw[plane :: _WIDTHS[code]] for plane in range(_WIDTHS[code]))


def column_of(code: str, data: bytes | memoryview) -> "array[int]":
    """Return a column from its bytes, whose number is a multiple of its width."""
    width = _WIDTHS[code]
    count = len(data) // width
    raw = bytearray(len(data))
    for plane in range(width):
        raw[plane::width] = data[plane * count : (plane + 1) * count]
    column = array(code)
    column.frombytes(raw)
    if sys.byteorder == "big":
        column.byteswap()
    return column
