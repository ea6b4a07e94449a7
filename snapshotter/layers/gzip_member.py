"""Header and trailer of a gzip member (RFC 1952), read from buffers that may still be incomplete.

As strict as Go's compress/gzip, through which containerd reads layers: what it refuses must not
be indexed. Stricter in one thing, as the RFC asks: reserved flags are an error.
"""

from struct import Struct
from typing import Final
from zlib import crc32

from bootseer.errors import CorruptError

MAGIC: Final = b"\x1f\x8b\x08"
"""Identification and the only compression method there is."""
TRAILER: Final = 8
"""Bytes behind the deflate stream: CRC-32 and length."""

_FIXED: Final = 10
_FHCRC: Final = 0x02
_FEXTRA: Final = 0x04
_FNAME: Final = 0x08
_FCOMMENT: Final = 0x10
_RESERVED: Final = 0xE0
_STRING: Final = 512
"""Longest name or comment with its NUL: Go's limit, and all that is ever seen."""

_trailer: Final = Struct("<II").unpack
_u16: Final = Struct("<H").unpack_from


def header_length(data: bytes, at: int = 0) -> int | None:
    """Return the length of the header that starts at `data[at]`; None while it is incomplete.

    Raises:
        CorruptError: this is not a gzip member.
    """
    start = data[at : at + _FIXED]
    if not MAGIC.startswith(start[: len(MAGIC)]):
        raise CorruptError(
            f"no gzip member: bytes {start[:4].hex()} where {MAGIC.hex()} starts one"
        )
    if len(start) < _FIXED:
        return None
    flags = start[3]
    if flags & _RESERVED:
        raise CorruptError(f"gzip header has reserved flags set: {flags:#04x}")
    end: int | None = at + _FIXED
    if flags & _FEXTRA:
        end = _extra(data, at + _FIXED)
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag and end is not None:
            end = _string(data, end)
    if flags & _FHCRC and end is not None:
        end = _checksum(data, at, end)
    return None if end is None or end > len(data) else end - at


def _extra(data: bytes, at: int) -> int | None:
    if at + 2 > len(data):
        return None
    (length,) = _u16(data, at)
    end: int = at + 2 + length
    return end if end <= len(data) else None


def _string(data: bytes, at: int) -> int | None:
    end = data.find(b"\0", at, at + _STRING)
    if end >= 0:
        return end + 1
    if len(data) - at >= _STRING:
        raise CorruptError(f"gzip header holds a name longer than {_STRING - 1} bytes")
    return None


def _checksum(data: bytes, start: int, end: int) -> int | None:
    if end + 2 > len(data):
        return None
    (stated,) = _u16(data, end)
    if stated != crc32(data[start:end]) & 0xFFFF:
        raise CorruptError("gzip header does not match its own check sum")
    return end + 2


def check_trailer(trailer: bytes, crc: int, length: int) -> None:
    """Compare a member's trailer (8 bytes) with what was inflated: CRC-32 and length in bytes.

    Raises:
        CorruptError: they differ.
    """
    stated_crc, stated_length = _trailer(trailer)
    if stated_crc != crc:
        raise CorruptError(f"gzip member's CRC-32 is {crc:08x}, its trailer says {stated_crc:08x}")
    if stated_length != length & 0xFFFFFFFF:
        raise CorruptError(f"gzip member has {length} bytes, its trailer says {stated_length}")
