"""Small ELF files, as far as a loader's first look goes."""

import struct
from collections.abc import Sequence

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM = struct.Struct("<IIQQQQQQ")
ENTRY = struct.Struct("<qQ")
ADDRESS = 0x10000
"""By which addresses are higher than offsets in the second segment."""
RELOCATIONS = range(4096, 4096 + 96)
CHANGED = range(12288, 12288 + 5000)


def library(needed: Sequence[str], size: int = 20480) -> bytes:
    """Return a library: strings and relocations in one segment, what they change in another."""
    strings = b"\0"
    at = []
    for name in needed:
        at.append(len(strings))
        strings += name.encode() + b"\0"
    entries = [(1, where) for where in at]
    entries += [(5, 8192), (7, RELOCATIONS.start), (8, len(RELOCATIONS)), (0, 0), (1, 99)]
    dynamic = b"".join(ENTRY.pack(*one) for one in entries)
    segments = [
        (1, 4, 0, 0, 12288, 12288),
        (1, 6, CHANGED.start, CHANGED.start + ADDRESS, len(CHANGED), 6000),
        (2, 6, CHANGED.start + 64, CHANGED.start + ADDRESS + 64, len(dynamic), len(dynamic)),
    ]
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    front = HEADER.pack(ident, 3, 62, 1, 0, 64, 0, 0, 64, PROGRAM.size, len(segments), 0, 0, 0)
    for kind, flags, offset, address, stored, used in segments:
        front += PROGRAM.pack(kind, flags, offset, address, address, stored, used, 4096)
    made = bytearray(size)
    made[: len(front)] = front
    made[8192 : 8192 + len(strings)] = strings
    made[CHANGED.start + 64 : CHANGED.start + 64 + len(dynamic)] = dynamic
    return bytes(made)
