"""Numbers and strings of tar headers and PAX records, read as strictly as Go's archive/tar does.

Python's `int` is too friendly for a format (it takes signs, spaces and underscores), and what
containerd refuses has to be refused here. Everything raises `FieldError` and nothing else.
"""

import re
from functools import lru_cache
from typing import Final

INT64_MAX: Final = (1 << 63) - 1
INT64_MIN: Final = -(1 << 63)

_octal = re.compile(rb"[0-7]+").fullmatch
# Possessive, so that a megabyte of zeros is looked at once.
_decimal = re.compile(rb"([+-]?)(?=[0-9])0*+([0-9]{0,19}+)").fullmatch
_digits = re.compile(rb"[0-9]*").fullmatch


class FieldError(ValueError):
    """A field is not what the format asks for. The reader adds where, and raises `CorruptError`."""


def c_string(field: bytes) -> bytes:
    """Return the field up to its first NUL, or all of it."""
    end = field.find(0)
    return field if end < 0 else field[:end]


# Owners, modes and times repeat from entry to entry; a hit costs a tenth of a parse.
@lru_cache(maxsize=1 << 14)
def number(field: bytes) -> int:
    """Return a header's number: octal text, or GNU's base-256 where the top bit is set."""
    if field[0] & 0x80:
        return _base256(field)
    text = field.strip(b" \0")
    if not text:
        return 0
    text = c_string(text)
    if not _octal(text):
        raise FieldError(f"{field!r} is not an octal number")
    return int(text, 8)


def _base256(field: bytes) -> int:
    """Two's complement, big endian; the top bit is the marker and the next one the sign."""
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") & ((1 << bits) - 1)
    if value >> (bits - 1):
        value -= 1 << bits
    if not INT64_MIN <= value <= INT64_MAX:
        raise FieldError("a base-256 number does not fit 64 bits")
    return value


def decimal(text: bytes) -> int:
    """Return a signed 64-bit decimal number, as PAX records write them."""
    match = _decimal(text)
    if match is None:
        raise FieldError(f"{text[:40]!r} is not a decimal number")
    value = int(match[2] or b"0")
    if match[1] == b"-":
        value = -value
    if not INT64_MIN <= value <= INT64_MAX:
        raise FieldError(f"{text[:40]!r} does not fit 64 bits")
    return value


@lru_cache(maxsize=1 << 10)
def pax_time(text: bytes) -> tuple[int, int]:
    """Return (seconds, nanoseconds from 0 to 10^9 - 1); digits after the ninth are cut off."""
    whole, _, fraction = text.partition(b".")
    seconds = decimal(whole)
    if not _digits(fraction):
        raise FieldError(f"{text[:40]!r} is not a time")
    nanoseconds = int(fraction[:9].ljust(9, b"0"))
    if nanoseconds and whole.startswith(b"-"):
        return seconds - 1, 1_000_000_000 - nanoseconds
    return seconds, nanoseconds
