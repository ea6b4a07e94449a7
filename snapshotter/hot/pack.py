"""Writes hot packs: a record's blocks in first-touch order, compressed, with what proves them.

Reading is in `unpack`. Blocking: it reads and compresses whatever the record names.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, Final, TypeAlias

import numpy as np
import zstandard

from bootseer.errors import CorruptError, UsageError
from bootseer.merkle import hash_blocks
from snapshotter.hot.hashtree import HashTree, ProofPlan
from snapshotter.hot.pack_layout import (
    PackHead,
    PackLayer,
    directory_digest,
    pack_layers,
    pack_lengths,
)
from snapshotter.hot.ranges import Blocks, Ranges, collapse, expand
from snapshotter.hot.record import MergedRecord, Record
from snapshotter.layers.records import BLOCK
from snapshotter.limits import DEFAULT, Limits

Read: TypeAlias = Callable[[int, int, int], bytes]
"""(row of the layer in the record, offset, length) -> bytes of its data area."""


@dataclass(frozen=True, slots=True)
class PackSettings:
    """How a pack is made."""

    frame_blocks: int = 128
    """Blocks in a frame: 512 KiB."""
    level: int = 9
    """zstd's compression level."""


DEFAULT_SETTINGS: Final = PackSettings()


def build_pack(
    record: Record | MergedRecord,
    read: Read,
    trees: Mapping[int, HashTree],
    settings: PackSettings = DEFAULT_SETTINGS,
) -> bytes:
    """Return the pack that `write_pack` writes. Raises what it raises."""
    target = io.BytesIO()
    write_pack(record, read, trees, target, settings)
    return target.getvalue()


def write_pack(
    record: Record | MergedRecord,
    read: Read,
    trees: Mapping[int, HashTree],
    target: BinaryIO,
    settings: PackSettings = DEFAULT_SETTINGS,
    limits: Limits = DEFAULT,
) -> PackHead:
    """Write the pack of a record to an empty, seekable file.

    `trees` has the hashes of each layer (by its row in the record) that goes in; others are left
    out. One frame is in memory at a time.

    Raises:
        UsageError: `trees` has one layer by two indexes.
        CorruptError: a tree is not of its layer, what was read does not have its hash, or the pack
            would be larger than the limits allow.
    """
    rows, layers, ranges = _chosen(record, trees)
    blocks = expand(ranges)
    _check(layers, rows, trees)
    proofs = []
    for number, layer in enumerate(layers):
        of_layer = blocks.block[blocks.layer == number]
        plan = ProofPlan(layer.data_size // BLOCK, of_layer, limits.hot_hashes)
        proofs.append(plan.build(trees[rows[number]]))
    hashes = b"".join(proofs)
    if len(hashes) > limits.hot_hashes:
        raise CorruptError(f"hot pack: its hashes would take {len(hashes)} bytes")
    stored = pack_layers(layers, ranges)
    count = len(ranges.layer)
    head = PackHead(
        settings.frame_blocks, len(layers), count, ranges.blocks, len(stored), len(hashes), 0, b""
    )
    target.write(bytes(head.hashes_at))  # filled in at the end
    target.write(hashes)
    lengths = [target.write(frame) for frame in _frames(blocks, rows, read, trees, settings)]
    directory = stored + pack_lengths(lengths)
    head = replace(head, size=target.tell())
    head = replace(head, digest=directory_digest(head, directory))
    target.seek(0)
    target.write(head.pack() + directory)
    return head


def _chosen(
    record: Record | MergedRecord, trees: Mapping[int, HashTree]
) -> tuple[list[int], list[PackLayer], Ranges]:
    """Return the rows of the layers that are packed, these layers, and their ranges."""
    touched = set(np.unique(record.ranges.layer).tolist())
    rows = sorted(touched & set(trees))
    layers = [
        PackLayer(one.layer_digest, one.index_digest, one.data_size, trees[row].root)
        for row, one in enumerate(record.layers)
        if row in rows
    ]
    ranges = record.ranges.take(np.isin(record.ranges.layer, rows))
    # Neighbours with a layer in between that is left out, or of other counts of runs, are one now.
    numbers = np.searchsorted(rows, ranges.layer).astype(np.int64)
    blocks = expand(Ranges(numbers, ranges.first, ranges.count))
    return rows, layers, collapse(blocks)[0]


def _check(layers: list[PackLayer], rows: list[int], trees: Mapping[int, HashTree]) -> None:
    if len({layer.layer_digest for layer in layers}) < len(layers):
        raise UsageError("a pack takes the blocks of a layer by one index only")
    for layer, row in zip(layers, rows, strict=True):
        if trees[row].blocks * BLOCK != layer.data_size:
            raise CorruptError(
                f"layer {layer.layer_digest}: hashes of {trees[row].blocks} blocks for a data area"
                f" of {layer.data_size} bytes"
            )


def _frames(
    blocks: Blocks,
    rows: list[int],
    read: Read,
    trees: Mapping[int, HashTree],
    settings: PackSettings,
) -> Iterator[bytes]:
    """Yield the frames as they are stored: compressed, or raw where that is not smaller."""
    compressor = zstandard.ZstdCompressor(level=settings.level)
    for start in range(0, len(blocks.block), settings.frame_blocks):
        part = slice(start, start + settings.frame_blocks)
        ranges, _ = collapse(Blocks(blocks.layer[part], blocks.block[part]))
        columns = (ranges.layer.tolist(), ranges.first.tolist(), ranges.count.tolist())
        raw = b"".join(
            _read_range(rows[layer], first, count, read, trees)
            for layer, first, count in zip(*columns, strict=True)
        )
        packed = compressor.compress(raw)
        yield packed if len(packed) < len(raw) else raw


def _read_range(
    row: int, first: int, count: int, read: Read, trees: Mapping[int, HashTree]
) -> bytes:
    data = read(row, first * BLOCK, count * BLOCK)
    if hash_blocks(data) != trees[row].levels[0][first : first + count].tobytes():
        raise CorruptError(
            f"layer {row} of the record: blocks {first} to {first + count - 1}"
            " do not have their hashes",
            hint="the local copy of the layer is damaged",
        )
    return data
