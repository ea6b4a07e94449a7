"""SOCI's zTOC: what is in a gzip or uncompressed layer, and checkpoints to enter it by. Pure.

Format: `ztoc.fbs` and `gzip_zinfo.h` of soci-snapshotter, a flat buffer around packed checkpoints
of zlib's `zran` with their windows. Spans are cut as ours are, some 4 MiB each; a span's digest is
that of its compressed bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from itertools import pairwise
from struct import Struct
from typing import Final, NamedTuple

import numpy as np

from bootseer.digests import is_digest
from bootseer.errors import CorruptError
from snapshotter.layers.foreign.assembly import Layer
from snapshotter.layers.foreign.flatbuffer import Buffer, Table
from snapshotter.layers.foreign.times import moment
from snapshotter.layers.foreign.toc import KINDS
from snapshotter.layers.records import U64, ChunkTable, Codec, Extents, LayerIndex, Proof
from snapshotter.layers.tar.apply import TreeBuilder
from snapshotter.layers.tar.data_area import DataArea
from snapshotter.layers.tar.fields import FieldError
from snapshotter.layers.tar.member import Kind, Member, Run, device_number
from snapshotter.layers.tar.pax import XATTR
from snapshotter.layers.windows import pack
from snapshotter.limits import Limits


class _Compression(IntEnum):
    GZIP = 1
    UNCOMPRESSED = 2


_HEAD: Final = Struct("<iq")
"""Number of checkpoints, bytes of a span."""
_WINDOW: Final = 32 << 10
_CHECKPOINT: Final = Struct("<qqB")
"""Offset in the blob, offset in the tar, bits of the byte before it that belong to the span."""
_GZIP_HEADER: Final = 10
"""Where the first span starts by checkpoints of version 1, which leave it out."""
_SPARSE: Final = b"GNU.sparse."


@dataclass(frozen=True, slots=True)
class Converted:
    """An index and its windows."""

    index: LayerIndex
    windows: bytes
    """The windows blob; may be empty."""


class _Span(NamedTuple):
    """Where a span begins."""

    blob: int
    """Of the first byte that has a part of it."""
    tar: int
    bits: int
    """Bits of that byte that belong to the span before."""
    window: bytes


def convert(layer: Layer, digest: str, data: bytes, limits: Limits) -> Converted:
    """Return the index of a layer by its zTOC.

    Raises:
        CorruptError: `data` has another digest, is of another layer, or cannot be used.
    """
    found = f"sha256:{sha256(data).hexdigest()}"
    if found != digest:
        raise CorruptError(f"zTOC is {found}, its index says {digest}")
    root = Buffer(data).root()
    if root.i64(2) != layer.size:
        raise CorruptError(f"zTOC of a layer of {root.i64(2)} bytes, it has {layer.size}")
    toc, compression = root.table(4), root.table(5)
    if toc is None or compression is None:
        raise CorruptError("zTOC without files or spans")
    area = DataArea(limits)
    builder = TreeBuilder(area, limits)
    for row, entry in enumerate(toc.tables(0, limits.entries)):
        try:
            builder.add(_member(entry, limits))
        except (FieldError, CorruptError) as error:
            reason = error.message if isinstance(error, CorruptError) else str(error)
            raise CorruptError(f"zTOC, file {row}: {reason}") from error
    codec, spans = _spans(compression, layer, limits)
    size = layer.size if codec is Codec.RAW else root.i64(3)
    digests = _digests(compression, len(spans), limits)
    frames = [pack(span.window) for span in spans]
    extents = area.extents()
    windows = b"".join(frames)
    index = LayerIndex(
        layer_digest=layer.digest,
        layer_size=layer.size,
        diff_id=layer.digest,  # a zTOC does not say
        merkle_root=bytes(32),
        windows_digest=f"sha256:{sha256(windows).hexdigest()}" if windows else "",
        tree=builder.finish(),
        extents=extents,
        chunks=_table(layer, codec, spans, digests, size, extents, area.size, frames),
    )
    return Converted(index, windows)


def _member(entry: Table, limits: Limits) -> Member:
    kind = KINDS.get(entry.content(1).decode("ascii", "replace"))
    if kind is None:
        raise CorruptError(f"type {entry.content(1)[:40]!a}")
    size, offset = entry.i64(3), entry.i64(2)
    if size < 0 or offset < 0:
        raise CorruptError("negative sizes")
    records = [(one.content(0), one.content(1)) for one in entry.tables(13, limits.xattrs)]
    if any(key.startswith(_SPARSE) for key, _ in records):
        raise CorruptError("a sparse file, which a zTOC cannot describe")
    seconds, nanoseconds = moment(entry.content(10).decode("ascii", "replace"))
    is_file = kind is Kind.FILE
    is_device = kind in (Kind.CHARACTER, Kind.BLOCK)
    return Member(
        path=entry.content(0),
        kind=kind,
        mode=entry.i64(5),
        uid=entry.u32(6),
        gid=entry.u32(7),
        mtime_s=seconds,
        mtime_ns=nanoseconds,
        size=size if is_file else 0,
        linkname=entry.content(4),
        rdev=device_number(entry.i64(11), entry.i64(12)) if is_device else 0,
        xattrs=tuple((key[len(XATTR) :], text) for key, text in records if key.startswith(XATTR)),
        runs=(Run(0, offset, size),) if is_file and size else (),
        tar_offset=offset,
    )


def _spans(compression: Table, layer: Layer, limits: Limits) -> tuple[Codec, list[_Span]]:
    checkpoints = compression.content(3)
    match compression.u8(0, _Compression.GZIP):
        case _Compression.GZIP:
            return Codec.DEFLATE, list(_checkpoints(checkpoints, limits))
        case _Compression.UNCOMPRESSED:
            size = Buffer(checkpoints).root().i64(1)
            if size <= 0 or layer.size // size >= limits.chunks:
                raise CorruptError(f"zTOC with spans of {size} bytes")
            return Codec.RAW, [_Span(at, at, 0, b"") for at in range(0, layer.size, size)]
        case other:
            raise CorruptError(f"zTOC of a compression {other}, which is not known")


def _checkpoints(data: bytes, limits: Limits) -> Iterator[_Span]:
    """Yield the spans of a gzip layer."""
    if len(data) < _HEAD.size:
        raise CorruptError("zTOC without checkpoints")
    count, _ = _HEAD.unpack_from(data)
    each = _CHECKPOINT.size + _WINDOW
    stored, rest = divmod(len(data) - _HEAD.size, each)
    if rest or not 0 < count <= limits.chunks or count - stored not in (0, 1):
        raise CorruptError(f"zTOC with {len(data)} bytes of {count} checkpoints")
    if stored < count:
        yield _Span(_GZIP_HEADER, 0, 0, b"")
    for at in range(_HEAD.size, len(data), each):
        blob, tar, bits = _CHECKPOINT.unpack_from(data, at)
        if bits > 7 or blob < 1 or tar < 0:
            raise CorruptError("zTOC with an impossible checkpoint")
        end = at + each
        # What lies before the tar's first byte is rubbish; and the first span refers to nothing.
        window = data[end - min(tar, _WINDOW) : end]
        yield _Span(blob - (bits > 0), tar, 8 - bits if bits else 0, window)


def _digests(compression: Table, count: int, limits: Limits) -> bytes:
    texts = [text.decode("ascii", "replace") for text in compression.strings(2, limits.chunks)]
    if len(texts) != count or not all(map(is_digest, texts)):
        raise CorruptError(f"zTOC with {len(texts)} digests of {count} spans")
    return b"".join(bytes.fromhex(text.removeprefix("sha256:")) for text in texts)


def _table(
    layer: Layer,
    codec: Codec,
    spans: list[_Span],
    digests: bytes,
    size: int,
    extents: Extents,
    data_size: int,
    frames: list[bytes],
) -> ChunkTable:
    """Return the chunks; `size` is that of the tar."""
    count = len(spans)
    tar = [span.tar for span in spans] + [size]
    if any(a > b for a, b in pairwise(tar)) or not 0 <= size < 1 << 62:
        raise CorruptError("zTOC with spans out of order")
    skip = np.zeros(count, dtype=np.uint32)
    skip[:1] = [span.blob for span in spans[:1]]  # the first one begins the blob, header and all
    cuts = np.array(tar, dtype=np.uint64)
    return ChunkTable(
        blob=np.array([0, *(span.blob for span in spans[1:]), layer.size], dtype=np.uint64),
        tar=cuts,
        data=_places(cuts, extents, data_size),
        digest=np.frombuffer(digests, dtype=np.uint8).reshape(count, 32),
        codec=np.full(count, codec, dtype=np.uint8),
        skip=skip,
        bits=np.array([span.bits for span in spans], dtype=np.uint8),
        window=np.cumsum([0, *map(len, frames)], dtype=np.uint64),
        proof=Proof.BLOB,
    )


def _places(cuts: U64, extents: Extents, data_size: int) -> U64:
    """Return where in the data area each cut of the tar is: in a file, or where the next begins."""
    row = np.searchsorted(extents.tar + extents.length, cuts, side="right")
    here = np.append(extents.data, np.uint64(data_size))[row]
    tar_here = np.append(extents.tar, cuts[-1])[row]
    places: U64 = here + np.where(cuts > tar_here, cuts - tar_here, np.uint64(0))
    places[0], places[-1] = 0, data_size
    return places
