"""One 512-byte tar header block: check sum, dialect, fields.

Formats: POSIX ustar (IEEE Std 1003.1, pax, "ustar Interchange Format"), GNU tar's old format,
star's, and the seventh edition's for everything without a magic. Pure functions on bytes.
"""

from struct import Struct
from typing import Final, NamedTuple
from zlib import adler32

from snapshotter.layers.tar.fields import FieldError, c_string, number

BLOCK: Final = 512
"""Bytes of a header, and the unit to which contents are padded."""
ZEROS: Final = bytes(BLOCK)
"""Two of these end a stream."""

_unpack = Struct("100s 8s 8s 8s 12s 12s 8s B 100s 8s 64x 8s 8s 155s 12x").unpack
_USTAR: Final = b"ustar\0"
_GNU: Final = b"ustar  \0"
_STAR_TRAILER: Final = b"tar\0"


class Header(NamedTuple):
    """The fields of a block that mean something to a layer."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    typeflag: int
    linkname: bytes
    major: int
    minor: int


def parse(block: bytes) -> Header:
    """Read one block of 512 bytes that is not all zeros. Raises `FieldError`."""
    (
        name, mode, uid, gid, size, mtime, check, typeflag, linkname, magic, major, minor, prefix,
    ) = _unpack(block)  # fmt: skip
    _verify(block, check)
    name = name.partition(b"\0")[0]
    if magic[:6] == _USTAR:
        if block.endswith(_STAR_TRAILER):
            prefix = _star_prefix(block)
    elif magic == _GNU:
        prefix = _misplaced_prefix(block) if block[345] or block[357] else b""
    else:
        major = minor = prefix = b"\0"
    if prefix and prefix[0]:
        name = c_string(prefix) + b"/" + name
    return Header(
        name,
        number(mode),
        number(uid),
        number(gid),
        number(size),
        number(mtime),
        typeflag,
        c_string(linkname) if linkname[0] else b"",
        number(major),
        number(minor),
    )


def _verify(block: bytes, field: bytes) -> None:
    """Compare the check sum: bytes added up, the field itself counted as spaces.

    Adler-32's low half is one plus the sum modulo 65521, so exact for up to 256 bytes; it is ten
    times as fast as adding in Python.
    """
    total = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF)
    total += 8 * ord(" ") - (adler32(field) & 0xFFFF) - 1
    if field == b"%06o\0 " % total:  # as nearly everybody writes it
        return
    stated = number(field)
    # Some old writers added signed bytes.
    signed = total - 256 * sum(byte > 0x7F for byte in block[:148] + block[156:])
    if stated not in (total, signed):
        raise FieldError(f"check sum is {total}, the header says {stated}: not a tar header")


def _star_prefix(block: bytes) -> bytes:
    """star keeps access and change time behind a shorter prefix; both have to be numbers."""
    number(block[476:488])
    number(block[488:500])
    return block[345:476]


def _misplaced_prefix(block: bytes) -> bytes:
    """GNU's format has times where ustar has the prefix; an early Go wrote a prefix there anyway.

    As in Go: a prefix is what can't be a pair of times and is ASCII.
    """
    try:
        for field in (block[345:357], block[357:369]):
            if field[0]:
                number(field)
    except FieldError:
        prefix = c_string(block[345:500])
        return prefix if prefix.isascii() else b""
    return b""
