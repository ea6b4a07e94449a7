"""The manifest file (`docs/striping.md`): records to bytes and back. Pure; `CorruptError` only."""

import struct
from typing import Final, NamedTuple

from fuse_hdfs import limits
from fuse_hdfs.checksums import crc32c
from fuse_hdfs.striping.layout import Extent, Manifest, Segment, SegmentId, check, refuse

MAGIC: Final = b"BSEERSTR"
VERSION: Final = 1

_FRONT: Final = struct.Struct("<8sIIQQII")
"""Magic, version, unit, size, bytes of the whole manifest, its body's CRC, this front's CRC."""
_COUNTS: Final = struct.Struct("<II")
_SEGMENT: Final = struct.Struct("<16sIII")
_EXTENT: Final = struct.Struct("<III")
_HOLE: Final = 0xFFFFFFFF

FRONT: Final = _FRONT.size
"""Bytes from which `size_in_front` reads the size of a file."""


def encode(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest, which is checked first."""
    check(manifest)
    numbers = {segment.id: number for number, segment in enumerate(manifest.segments)}
    body = bytearray(_COUNTS.pack(len(manifest.segments), len(manifest.extents)))
    for segment in manifest.segments:
        identity = bytes.fromhex(segment.id)
        body += _SEGMENT.pack(identity, segment.stripes, segment.units, segment.last)
    for extent in manifest.extents:
        number = _HOLE if extent.segment is None else numbers[extent.segment]
        body += _EXTENT.pack(number, extent.skip, extent.units)
    for segment in manifest.segments:
        body += segment.checksums
    total = FRONT + len(body)
    words = (MAGIC, VERSION, manifest.unit, manifest.size, total, crc32c(body))
    front = _FRONT.pack(*words, 0)[:-4]
    return front + crc32c(front).to_bytes(4, "little") + bytes(body)


def size_in_front(data: bytes) -> int | None:
    """Return the size of the striped file whose manifest begins with `data`.

    None if `data` is not the beginning of a manifest: then it is that of an ordinary file.

    Raises:
        CorruptError: it is that of a damaged or newer one.
    """
    if data[:8] != MAGIC:
        return None
    return _front(data).size


def decode(data: bytes) -> Manifest:
    """Return the manifest that a file holds.

    Raises:
        CorruptError: it is none, or it is damaged or makes no sense.
    """
    front = _front(data)
    body = memoryview(data)[FRONT:]
    if front.total != len(data):
        raise refuse(f"{len(data)} bytes, it says {front.total}")
    if crc32c(body) != front.body_crc:
        raise refuse("its checksum is wrong")
    return check(_body(body, front.unit, front.size))


class _Fields(NamedTuple):
    unit: int
    size: int
    total: int
    body_crc: int


def _front(data: bytes) -> _Fields:
    if len(data) < FRONT:
        raise refuse(f"ends after {len(data)} bytes")
    magic, version, unit, size, total, body_crc, front_crc = _FRONT.unpack_from(data)
    if magic != MAGIC:
        raise refuse("it is none")
    if version != VERSION:
        raise refuse(f"version {version}, this program knows {VERSION}")
    if crc32c(data[: FRONT - 4]) != front_crc:
        raise refuse("the checksum of its front is wrong")
    if size > limits.SIZE or total > limits.MANIFEST:
        raise refuse("larger than any")
    return _Fields(unit, size, total, body_crc)


def _body(body: memoryview, unit: int, size: int) -> Manifest:
    if len(body) < _COUNTS.size:
        raise refuse("its body is too short")
    segment_count, extent_count = _COUNTS.unpack_from(body)
    if segment_count > limits.SEGMENTS or extent_count > limits.EXTENTS:
        raise refuse("too many segments or extents")
    extents_at = _COUNTS.size + segment_count * _SEGMENT.size
    checksums_at = extents_at + extent_count * _EXTENT.size
    if len(body) < checksums_at:
        raise refuse("its tables are cut off")
    rows = list(_SEGMENT.iter_unpack(body[_COUNTS.size : extents_at]))
    if checksums_at + 4 * sum(units for _, _, units, _ in rows) != len(body):
        raise refuse("its checksums do not fill it")
    segments = []
    at = checksums_at
    for identity, stripes, units, last in rows:
        checksums = bytes(body[at : at + 4 * units])
        segments.append(Segment(SegmentId(identity.hex()), stripes, units, last, checksums))
        at += 4 * units
    extents = tuple(
        Extent(_segment(number, segments), skip, units)
        for number, skip, units in _EXTENT.iter_unpack(body[extents_at:checksums_at])
    )
    return Manifest(unit, size, tuple(segments), extents)


def _segment(number: int, segments: list[Segment]) -> SegmentId | None:
    if number == _HOLE:
        return None
    if number >= len(segments):
        raise refuse("an extent names no segment")
    return segments[number].id
