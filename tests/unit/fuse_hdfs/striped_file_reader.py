"""A reader of striped files, written from docs/striping.md and sharing no code with the writer."""

import struct
from pathlib import Path


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def read_striped(root: Path, path: str) -> bytes:
    """Return the contents of a file of a volume in a directory."""
    data = (root / path).read_bytes()
    if data[:8] != b"BSEERSTR":
        return data
    version, unit, size, total, body_crc, front_crc = struct.unpack_from("<IIQQII", data, 8)
    assert (version, total) == (1, len(data))
    assert crc32c(data[:36]) == front_crc
    assert crc32c(data[40:]) == body_crc
    segment_count, extent_count = struct.unpack_from("<II", data, 40)
    segments, at = [], 48
    for _ in range(segment_count):
        segments.append(struct.unpack_from("<16sIII", data, at))
        at += 28
    extents = [struct.unpack_from("<III", data, at + 12 * n) for n in range(extent_count)]
    at += 12 * extent_count
    units = []
    for name, stripes, count, last in segments:
        place = root / ".bootseer/segments" / name.hex()[:2] / name.hex()
        found = []
        for index in range(count):
            length = last if index == count - 1 else unit
            start = index // stripes * unit
            piece = (place / str(index % stripes)).read_bytes()[start : start + length]
            assert crc32c(piece) == struct.unpack_from("<I", data, at)[0]
            at += 4
            found.append(piece.ljust(unit, b"\0"))
        units.append(found)
    assert at == len(data)
    content = b""
    for number, skip, count in extents:
        hole = number == 0xFFFFFFFF
        content += bytes(unit * count) if hole else b"".join(units[number][skip : skip + count])
    return content[:size]
