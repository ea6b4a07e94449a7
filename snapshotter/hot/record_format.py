"""The hot record file: `Record` <-> bytes. The layout is in `docs/formats/hot-record.md`."""

import hashlib
import struct
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import zstandard

from bootseer.errors import CorruptError
from snapshotter.hot.ranges import Ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hot.validate import check_record, refuse
from snapshotter.layers.columns import Column, pack, size_of, unpack
from snapshotter.limits import DEFAULT, Limits

MAGIC: Final = b"BSEERHOT"
VERSION: Final = 1
_FRONT: Final = struct.Struct("<8sIII32s")
"""Magic, version, bytes of the stored body, bytes of the body, SHA-256 of the stored body."""
_HEAD: Final = struct.Struct("<32sQIIB3xHHHHI")
"""Manifest digest, created, window_ms, length_ms, ended; bytes of workload, kernel and
architecture; number of layers and of ranges."""
LAYER: Final = struct.Struct("<32s32sQ")
"""Layer digest, index digest, bytes of the data area."""
_RANGES: Final = (
    Column("layer", "u2"),
    Column("first", "u4", delta=True),
    Column("count", "u4"),
    Column("time_ms", "u4", delta=True),
)
_LEVEL: Final = 12


def encode(record: Record, limits: Limits = DEFAULT) -> bytes:
    """Return the file for a record. One version of zstd always gives the same bytes.

    Raises `CorruptError` when the record is not valid: what cannot be read back is not written.
    """
    check_record(record, limits)
    body = _body(record)
    if len(body) > limits.hot_record:
        raise refuse("ranges", f"take {len(body)} bytes, the limit is {limits.hot_record}")
    stored = zstandard.ZstdCompressor(level=_LEVEL).compress(body)
    digest = hashlib.sha256(stored).digest()
    return _FRONT.pack(MAGIC, VERSION, len(stored), len(body), digest) + stored


def _body(record: Record) -> bytes:
    texts = [text.encode() for text in (record.workload, record.kernel, record.architecture)]
    head = _HEAD.pack(
        raw_digest(record.manifest_digest),
        record.created,
        record.window_ms,
        record.length_ms,
        record.ended,
        *map(len, texts),
        len(record.layers),
        len(record.time_ms),
    )
    layers = [
        LAYER.pack(raw_digest(one.layer_digest), raw_digest(one.index_digest), one.data_size)
        for one in record.layers
    ]
    columns: dict[str, npt.NDArray[Any]] = {
        name: getattr(record.ranges, name) for name in ("layer", "first", "count")
    }
    return b"".join([head, *texts, *layers, pack(_RANGES, columns | {"time_ms": record.time_ms})])


def decode(data: bytes | memoryview, limits: Limits = DEFAULT) -> Record:
    """Return the record that a file holds, validated. Raises `CorruptError` and nothing else."""
    body = _read_front(memoryview(data), limits)
    if len(body) < _HEAD.size:
        raise refuse("body", f"has {len(body)} bytes, too few for its head")
    manifest, created, window, length, ended, *counts = _HEAD.unpack_from(body)
    *texts, layers, rows = counts
    parts = [*texts, layers * LAYER.size, size_of(_RANGES, rows)]
    if _HEAD.size + sum(parts) != len(body):
        raise refuse("body", f"has {len(body)} bytes, its head says {_HEAD.size + sum(parts)}")
    ends = np.cumsum([_HEAD.size, *parts]).tolist()
    cut = [body[a:b] for a, b in pairwise(ends)]
    workload, kernel, architecture = (_text(part) for part in cut[:3])
    columns = unpack(_RANGES, np.frombuffer(cut[4], dtype=np.uint8), rows)
    if ended not in list(Ended):
        raise refuse("ended", f"is {ended}, which is no reason")
    # A sum of differences wraps around at 64 bits: as a signed number it is negative, then refused.
    signed = {name: column.astype(np.int64) for name, column in columns.items()}
    record = Record(
        manifest_digest=text_digest(manifest),
        workload=workload,
        created=created,
        window_ms=window,
        length_ms=length,
        ended=Ended(ended),
        kernel=kernel,
        architecture=architecture,
        layers=tuple(
            HotLayer(text_digest(layer), text_digest(index), size)
            for layer, index, size in LAYER.iter_unpack(cut[3])
        ),
        ranges=Ranges(signed["layer"], signed["first"], signed["count"]),
        time_ms=signed["time_ms"],
    )
    check_record(record, limits)
    return record


def _read_front(data: memoryview, limits: Limits) -> bytes:
    """Check the front of the file and return the body."""
    if len(data) < _FRONT.size:
        raise refuse("file", f"has {len(data)} bytes, too few for its header")
    magic, version, stored, size, digest = _FRONT.unpack_from(data)
    if magic != MAGIC:
        raise refuse("file", f"starts with {bytes(magic)!r}, expected {MAGIC!r}")
    if version != VERSION:
        raise CorruptError(
            f"hot record: version {version}, this program reads version {VERSION}",
            hint="update bootseer on this node, or record the start again with this version",
        )
    if stored != len(data) - _FRONT.size or max(stored, size) > limits.hot_record:
        raise refuse("file", f"has {len(data)} bytes, its header says {_FRONT.size + stored}")
    body = data[_FRONT.size :]
    if hashlib.sha256(body).digest() != digest:
        raise refuse("body", "does not have its digest")
    return load(body, size, "body")


def load(stored: memoryview, size: int, name: str) -> bytes:
    """Return the `size` bytes of a zstd frame that names its size. Raises `CorruptError`."""
    try:
        if zstandard.frame_content_size(stored) != size:
            raise refuse(name, "is a zstd frame of another size")
        return zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise refuse(name, f"cannot be decompressed: {error}") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise refuse("text", "is not UTF-8") from error


def raw_digest(digest: str) -> bytes:
    """Return the 32 bytes of `sha256:...`."""
    return bytes.fromhex(digest.removeprefix("sha256:"))


def text_digest(raw: bytes) -> str:
    """Return 32 bytes as `sha256:...`."""
    return f"sha256:{raw.hex()}"
