"""What lies where in a hot pack: head and directory <-> bytes. See `docs/formats/hot-pack.md`.

head | directory: layers and ranges (zstd), lengths of frames | hashes | frames
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import zstandard

from bootseer.errors import CorruptError
from snapshotter.hot.ranges import Blocks, Ranges, check_ranges, expand
from snapshotter.layers.columns import Column, pack, size_of, unpack
from snapshotter.layers.records import BLOCK, I64
from snapshotter.limits import DEFAULT, Limits

MAGIC: Final = b"BSEERPCK"
VERSION: Final = 1
HEAD: Final = struct.Struct("<8sIIIIIIQQ32s")
"""Magic, version, blocks a frame, number of layers, ranges and blocks, stored bytes of layers and
ranges, bytes of the hashes, bytes of the pack, SHA-256 of all before the hashes but itself."""
_DIGEST: Final = 32
_LAYER: Final = struct.Struct("<32s32sQ32s")
"""Layer digest, index digest, bytes of the data area, its Merkle root."""
_RANGES: Final = (Column("layer", "u2"), Column("first", "u4", delta=True), Column("count", "u4"))
_LENGTH: Final = np.dtype("<u4")
_LEVEL: Final = 12
_HINT: Final = "the pack is damaged or hostile: pack the hot blocks again"


@dataclass(frozen=True, slots=True)
class PackLayer:
    """A layer with blocks in a pack."""

    layer_digest: str
    index_digest: str
    """Of the index that the blocks were packed by. What counts is the Merkle root."""
    data_size: int
    """Bytes of the data area."""
    merkle_root: bytes


@dataclass(frozen=True, slots=True)
class PackHead:
    """The first bytes of a pack. Sizes in bytes."""

    frame_blocks: int
    """Blocks in each frame; the last one has what is left."""
    layers: int
    ranges: int
    blocks: int
    stored: int
    """Layers and ranges, compressed."""
    hashes: int
    size: int
    """The whole pack."""
    digest: bytes

    @property
    def frames(self) -> int:
        """Number of frames."""
        return -(-self.blocks // self.frame_blocks)

    @property
    def hashes_at(self) -> int:
        """Where the hashes start: the end of the directory."""
        return HEAD.size + self.stored + self.frames * _LENGTH.itemsize

    @property
    def frames_at(self) -> int:
        """Where the first frame starts."""
        return self.hashes_at + self.hashes

    def pack(self) -> bytes:
        """Return the bytes of the head."""
        numbers = (self.frame_blocks, self.layers, self.ranges, self.blocks, self.stored)
        return HEAD.pack(MAGIC, VERSION, *numbers, self.hashes, self.size, self.digest)


@dataclass(frozen=True, slots=True, eq=False)
class PackDirectory:
    """What a pack holds, and where."""

    head: PackHead
    layers: tuple[PackLayer, ...]
    ranges: Ranges
    """In first-touch order; frame i has blocks `[i, i + 1) * frame_blocks` of them."""
    blocks: Blocks
    """The same, block by block."""
    frame_at: I64
    """Where each frame starts in the pack, and where the last one ends."""

    def blocks_of(self, layer: int) -> I64:
        """Return the blocks of a layer (a row of `layers`) in their order: its hot area."""
        blocks: I64 = self.blocks.block[self.blocks.layer == layer]
        return blocks

    def raw_size(self, frame: int) -> int:
        """Return the bytes of a frame, uncompressed."""
        first = frame * self.head.frame_blocks
        return BLOCK * min(self.head.frame_blocks, self.head.blocks - first)


def refuse(field: str, what: str) -> CorruptError:
    """Return the error for a part of a pack."""
    return CorruptError(f"hot pack: {field} {what}", hint=_HINT)


def _refuse_rows(bad: npt.NDArray[np.bool_], field: str, what: str) -> None:
    if bad.any():
        raise refuse(f"ranges.{field}[{int(np.argmax(bad))}]", what)


def pack_layers(layers: Sequence[PackLayer], ranges: Ranges) -> bytes:
    """Return layers and ranges, compressed."""
    rows = [
        _LAYER.pack(_raw(one.layer_digest), _raw(one.index_digest), one.data_size, one.merkle_root)
        for one in layers
    ]
    columns: dict[str, npt.NDArray[Any]] = {
        name: getattr(ranges, name) for name in ("layer", "first", "count")
    }
    body = b"".join([*rows, pack(_RANGES, columns)])
    return zstandard.ZstdCompressor(level=_LEVEL).compress(body)


def pack_lengths(lengths: Sequence[int]) -> bytes:
    """Return the table of the frames' stored lengths."""
    return np.array(lengths, dtype=_LENGTH).tobytes()


def directory_digest(head: PackHead, directory: bytes | memoryview) -> bytes:
    """Return the digest that the head must have: over itself without the digest, and directory."""
    digest = hashlib.sha256(head.pack()[:-_DIGEST])
    digest.update(directory)
    return digest.digest()


def parse_head(data: bytes | memoryview, limits: Limits = DEFAULT) -> PackHead:
    """Return the head of a pack, of which `data` are at least the first `HEAD.size` bytes.

    Every size in it is then within the limits. Raises `CorruptError`.
    """
    if len(data) < HEAD.size:
        raise refuse("head", f"has {len(data)} bytes of {HEAD.size}")
    magic, version, *fields = HEAD.unpack_from(data)
    if magic != MAGIC:
        raise refuse("head", f"starts with {bytes(magic)!r}, expected {MAGIC!r}")
    if version != VERSION:
        raise CorruptError(
            f"hot pack: version {version}, this program reads version {VERSION}",
            hint="update bootseer on this node, or pack the hot blocks again with this version",
        )
    head = PackHead(*fields)
    bounds = {
        "frame_blocks": (1, limits.hot_frame // BLOCK),
        "layers": (0, limits.layers),
        "blocks": (0, limits.hot_blocks),
        "ranges": (0, head.blocks),
        "stored": (0, limits.hot_record),
        "hashes": (0, limits.hot_hashes),
        "size": (HEAD.size, limits.hot_pack),
    }
    for name, (low, high) in bounds.items():
        if not low <= getattr(head, name) <= high:
            raise refuse(f"head.{name}", f"is {getattr(head, name)}, not {low} to {high}")
    if head.frames_at > head.size:
        raise refuse("head.size", f"is {head.size}, but its frames start at {head.frames_at}")
    return head


def parse_directory(
    head: PackHead, data: bytes | memoryview, limits: Limits = DEFAULT
) -> PackDirectory:
    """Return the directory in the bytes from `HEAD.size` to `head.hashes_at`.

    Raises `CorruptError`.
    """
    if len(data) != head.hashes_at - HEAD.size:
        raise refuse("directory", f"has {len(data)} bytes, not {head.hashes_at - HEAD.size}")
    if directory_digest(head, data) != head.digest:
        raise refuse("directory", "does not have its digest")
    view = memoryview(data)
    heads, columns = head.layers * _LAYER.size, size_of(_RANGES, head.ranges)
    body = _load(view[: head.stored], heads + columns)
    layers = tuple(
        PackLayer(_text(layer), _text(index), size, root)
        for layer, index, size, root in _LAYER.iter_unpack(body[:heads])
    )
    ranges = _ranges(body[heads:], head.ranges)
    _check(head, layers, ranges, limits)
    lengths = np.frombuffer(view[head.stored :], dtype=_LENGTH).astype(np.int64)
    frame_at = head.frames_at + np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    directory = PackDirectory(head, layers, ranges, expand(ranges), frame_at)
    _check_frames(directory, lengths)
    return directory


def _ranges(data: bytes, count: int) -> Ranges:
    columns = unpack(_RANGES, np.frombuffer(data, dtype=np.uint8), count)
    # A sum of differences wraps around at 64 bits: as a signed number it is negative, then refused.
    return Ranges(*(columns[name].astype(np.int64) for name in ("layer", "first", "count")))


def _load(stored: memoryview, size: int) -> bytes:
    try:
        if zstandard.frame_content_size(stored) != size:
            raise refuse("directory", "is a zstd frame of another size")
        return zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise refuse("directory", f"cannot be decompressed: {error}") from error


def _check(head: PackHead, layers: Sequence[PackLayer], ranges: Ranges, limits: Limits) -> None:
    for row, layer in enumerate(layers):
        if layer.data_size % BLOCK or layer.data_size > limits.data_area:
            raise refuse(f"layers[{row}].data_size", "is not the size of a data area")
    if len({layer.layer_digest for layer in layers}) < len(layers):
        raise refuse("layers", "has a layer twice")
    _refuse_rows(ranges.first < 0, "first", "is negative")
    sizes = np.array([layer.data_size // BLOCK for layer in layers], dtype=np.int64)
    check_ranges(ranges, sizes, head.blocks, _refuse_rows)
    if ranges.blocks != head.blocks:
        raise refuse("ranges", f"have {ranges.blocks} blocks, the head says {head.blocks}")


def _check_frames(directory: PackDirectory, lengths: I64) -> None:
    raw = np.full(len(lengths), directory.head.frame_blocks * BLOCK, dtype=np.int64)
    if len(raw):
        raw[-1] = directory.raw_size(len(raw) - 1)
    wrong = (lengths < 1) | (lengths > raw)
    if wrong.any():
        raise refuse(f"frame {int(np.argmax(wrong))}", "is empty or longer than its blocks")
    if directory.frame_at[-1] != directory.head.size:
        end = int(directory.frame_at[-1])
        raise refuse("head.size", f"is {directory.head.size}, but its frames end at {end}")


def _raw(digest: str) -> bytes:
    return bytes.fromhex(digest.removeprefix("sha256:"))


def _text(raw: bytes) -> str:
    return f"sha256:{raw.hex()}"
