"""Compiled Python whose header names the time of its source. Pure.

The header (PEP 552) is magic, flags, and with flags 0 the source's time in whole seconds and its
size. That time is when the package was installed: without it two installs of a package would be
the same bytes. So packs hold zeros there, and the entry has the number.
"""

import struct
from typing import Final

_HEADER: Final = struct.Struct("<4sII")
OFFSET: Final = 8
"""Where in the file the time is."""
LENGTH: Final = 4


def stamp_of(path: str, head: bytes) -> int:
    """Return the source's time in the first bytes of a file; -1 if it is not compiled so."""
    if not path.endswith(".pyc") or len(head) < 16:
        return -1
    magic, flags, stamp = _HEADER.unpack_from(head)
    return int(stamp) if magic[2:] == b"\r\n" and flags == 0 else -1


def without_stamp(content: bytes) -> bytes:
    """Return the contents of such a file with zeros for the time."""
    return content[:OFFSET] + bytes(LENGTH) + content[OFFSET + LENGTH :]


def stamp_bytes(stamp: int) -> bytes:
    """Return the time as it stands in the file."""
    return struct.pack("<I", stamp)
