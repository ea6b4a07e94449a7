"""zstd:chunked: zstd layers with a table of contents in a skippable frame behind the tar. Pure.

    frame ... frame | skippable: table of contents | skippable: tar-split | skippable: footer

A file's bytes, or each part of them, are a zstd frame of their own. The manifest says where the
table is, and what its digest is; so the footer is not needed, and tar-split, from which a tar can
be made again bit by bit, not either.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import zstandard

from bootseer.digests import is_digest
from bootseer.errors import CorruptError
from snapshotter.layers.foreign.assembly import Assembler, Layer
from snapshotter.layers.foreign.toc import parse_toc
from snapshotter.layers.records import Codec, LayerIndex
from snapshotter.limits import Limits

PREFIXES: Final = ("io.github.containers.zstd-chunked", "io.containers.zstd-chunked")
"""Of the annotations; the second is what stargz-snapshotter writes."""
_position = re.compile(r"(\d{1,18}):(\d{1,18}):(\d{1,18}):1", re.ASCII).fullmatch
_FRAME_HEADER: Final = 8
"""Bytes of a skippable frame in front of what it holds."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a layer its table of contents lies."""

    digest: str
    """`sha256:...` of the table as it lies there, compressed."""
    offset: int
    size: int
    """Bytes, compressed."""


def find(annotations: Mapping[str, str], layer_size: int) -> Place | None:
    """Return what a layer's descriptor says of its table; None if it says nothing of use."""
    for prefix in PREFIXES:
        digest = annotations.get(f"{prefix}.manifest-checksum", "")
        match = _position(annotations.get(f"{prefix}.manifest-position", ""))
        if match is None or not is_digest(digest):
            continue
        offset, size = int(match[1]), int(match[2])
        if offset >= _FRAME_HEADER and 0 < size <= layer_size - offset:
            return Place(digest, offset, size)
    return None


def convert(layer: Layer, place: Place, table: bytes, limits: Limits) -> LayerIndex:
    """Return the index of a layer; `table` is what lies at the place.

    Raises:
        CorruptError: it has another digest, or cannot be used.
    """
    found = f"sha256:{sha256(table).hexdigest()}"
    if found != place.digest:
        raise CorruptError(f"table of contents is {found}, the manifest says {place.digest}")
    assembler = Assembler(layer, Codec.ZSTD, limits)
    for file in parse_toc(_decompressed(table, limits), limits):
        assembler.add(*file)
    return assembler.finish(place.offset - _FRAME_HEADER)


def _decompressed(table: bytes, limits: Limits) -> bytes:
    try:
        size = zstandard.frame_content_size(table)
        if size > limits.toc:
            raise CorruptError(f"table of contents of {size} bytes, {limits.toc} are accepted")
        context = zstandard.ZstdDecompressor(max_window_size=limits.zstd_window)
        with context.stream_reader(table) as reader:
            data = reader.read(limits.toc + 1)
    except zstandard.ZstdError as error:
        raise CorruptError(f"table of contents is damaged: {error}") from error
    if len(data) > limits.toc:
        raise CorruptError(f"table of contents of more than {limits.toc} bytes")
    return data
