"""The container of a layer index: magic, version, table of sections. Knows no section's meaning.

Layout in `docs/formats/layer-index.md`. Sections follow the table in order and without gaps, up to
the end of the file; each has the SHA-256 of its stored bytes in the table. Unknown kinds are
skipped, so that a later writer can add one without a new version.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import zstandard

from bootseer.errors import CorruptError
from snapshotter.limits import Limits

MAGIC: Final = b"BSEERIDX"
VERSION: Final = 1
FOREIGN: Final = 2
"""Version of an index that was made of another format's: see `Kind.PROOF`."""
_HEAD: Final = struct.Struct("<8sIIQ")
"""Magic, version, number of sections, size of the file."""
_ENTRY: Final = struct.Struct("<HHIQQQ32s")
"""Kind, codec, reserved, offset, stored length, raw length, SHA-256."""
_MAX_SECTIONS: Final = 64
_LEVEL: Final = 9


class SectionCodec(IntEnum):
    """How a section is stored."""

    RAW = 0
    ZSTD = 1
    """One zstd frame that names its content size."""


@dataclass(frozen=True, slots=True)
class Section:
    """One row of the table. Lengths and offset in bytes."""

    kind: int
    codec: int
    offset: int
    stored: int
    raw: int
    digest: bytes


def pack(
    sections: Mapping[int, bytes], version: int = VERSION, *, compressed: bool = True
) -> bytes:
    """Return a file of these sections, by kind. What is not `compressed` is written sooner."""
    store = _smaller if compressed else _as_is
    stored = {kind: store(raw) for kind, raw in sections.items()}
    offset = _HEAD.size + _ENTRY.size * len(stored)
    size = offset + sum(len(data) for _, data in stored.values())
    parts = [_HEAD.pack(MAGIC, version, len(stored), size)]
    for kind, (codec, data) in stored.items():
        digest = hashlib.sha256(data).digest()
        parts.append(_ENTRY.pack(kind, codec, 0, offset, len(data), len(sections[kind]), digest))
        offset += len(data)
    return b"".join([*parts, *(data for _, data in stored.values())])


def _as_is(raw: bytes) -> tuple[SectionCodec, bytes]:
    return SectionCodec.RAW, raw


def _smaller(raw: bytes) -> tuple[SectionCodec, bytes]:
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(raw)
    if len(packed) < len(raw):
        return SectionCodec.ZSTD, packed
    return SectionCodec.RAW, raw


def read_table(data: memoryview, limits: Limits) -> dict[int, Section]:
    """Return the sections of a file, by kind. Raises `CorruptError`."""
    count = _read_head(data, limits)
    table: dict[int, Section] = {}
    expected = _HEAD.size + _ENTRY.size * count
    if expected > len(data):
        raise CorruptError(f"layer index: a table of {count} sections does not fit the file")
    for row in range(count):
        kind, codec, _, offset, stored, raw, digest = _ENTRY.unpack_from(
            data, _HEAD.size + row * _ENTRY.size
        )
        if offset != expected or stored > len(data) - offset or kind in table:
            raise CorruptError(f"layer index: section {row} (kind {kind}) is not where it belongs")
        table[kind] = Section(kind, codec, offset, stored, raw, digest)
        expected += stored
    if expected != len(data):
        raise CorruptError(f"layer index: {len(data) - expected} bytes behind the last section")
    return table


def _read_head(data: memoryview, limits: Limits) -> int:
    """Check the fixed head and return the number of sections."""
    if len(data) > limits.index:
        raise CorruptError(f"layer index: {len(data)} bytes, the limit is {limits.index}")
    if len(data) < _HEAD.size:
        raise CorruptError(f"layer index: {len(data)} bytes are too few for its header")
    magic, version, count, size = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise CorruptError(f"layer index: starts with {bytes(magic)!r}, expected {MAGIC!r}")
    if version not in (VERSION, FOREIGN):
        raise CorruptError(
            f"layer index: version {version}, this program reads {VERSION} and {FOREIGN}",
            hint="update bootseer on this node, or index the image again with this version",
        )
    if size != len(data):
        raise CorruptError(f"layer index: {len(data)} bytes, its header says {size}")
    if count > _MAX_SECTIONS:
        raise CorruptError(f"layer index: {count} sections, the limit is {_MAX_SECTIONS}")
    return int(count)


def read_section(data: memoryview, section: Section, name: str, expected: int) -> bytes:
    """Return the raw bytes of a section that must have `expected` of them.

    The digest is checked before anything is decompressed, and nothing larger than `expected` is
    allocated. Raises `CorruptError` with `name` in it.
    """
    stored = data[section.offset : section.offset + section.stored]
    if hashlib.sha256(stored).digest() != section.digest:
        raise CorruptError(f"layer index: section {name} does not have its digest")
    if section.raw != expected:
        raise CorruptError(
            f"layer index: section {name} has {section.raw} bytes, expected {expected}"
        )
    raw = _load(stored, section, name)
    if len(raw) != expected:
        raise CorruptError(f"layer index: section {name} has {len(raw)} bytes, not {expected}")
    return raw


def _load(stored: memoryview, section: Section, name: str) -> bytes:
    if section.codec == SectionCodec.RAW:
        return bytes(stored)
    if section.codec != SectionCodec.ZSTD:
        raise CorruptError(f"layer index: section {name} has unknown codec {section.codec}")
    try:
        if zstandard.frame_content_size(stored) != section.raw:
            raise CorruptError(f"layer index: section {name}: the zstd frame has another size")
        return zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptError(f"layer index: section {name}: {error}") from error
