"""Sweeps from which the defaults for hot blocks follow (docs/decisions/0004-hot-blocks.md)."""

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.figures import Figure
from benchmarks.measure.hot_layouts import in_turn
from benchmarks.measure.hot_links import SLOW
from benchmarks.measure.hot_place import Place
from benchmarks.measure.hot_record import FRAME, compressed
from bootseer.write_all import write_all
from snapshotter.hot.merge import merge
from snapshotter.hot.pack import PackSettings
from snapshotter.hot.ranges import Blocks, expand, from_keys
from snapshotter.hot.record import Record
from snapshotter.hot.unpack import Expected, PackStream
from snapshotter.hotstore.packing import LocalArea, chosen_layers, make_pack
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.layers.records import BLOCK
from tooling.progress import doing

_PIECE: Final = 1 << 20
_WINDOWS_S: Final = (1, 2, 5, 10, 20, 60, 120)
_SIZES: Final = (4, 16, 64, 256, 1024)
"""Of blocks, in KiB."""
_FRAMES: Final = (128, 256, 512, 1024, 4096)
"""Of packs, in KiB."""
_LEVELS: Final = (3, 9, 15)
_READ_AHEADS: Final = (0, 128, 256, 1024)
"""Of the FUSE mount, in KiB."""

Areas = Mapping[str, LocalArea]
"""By layer digest."""


def data_areas(blobs: Sequence[Path], directory: Path) -> dict[str, LocalArea]:
    """Unpack compressed layers into files with their data areas."""
    directory.mkdir()
    found = {}
    for number, blob in enumerate(blobs):
        target = directory / str(number)
        with doing(f"data area of a layer of {blob.stat().st_size / 1e6:.0f} MB"):
            digest, root = _unpack(blob, target)
        found[digest] = LocalArea(target, root)
    return found


def _unpack(blob: Path, target: Path) -> tuple[str, bytes]:
    file = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        indexer = LayerIndexer(
            windows=False, sink=lambda offset, data: write_all(file, offset, data)
        )
        with blob.open("rb") as source:
            while piece := source.read(_PIECE):
                indexer.feed(piece)
        index = indexer.finish().index
        os.ftruncate(file, index.data_size)
    finally:
        os.close(file)
    return index.layer_digest, index.merkle_root


def windows(record: Record) -> list[Figure]:
    """Say how much of a recorded start shorter windows would have seen, and its longest pause."""
    ranges = record.ranges
    made = [
        Figure(
            f"window of {window} s: share of what was touched",
            100 * float(ranges.count[record.time_ms <= 1000 * window].sum()) / ranges.blocks,
            "%",
        )
        for window in _WINDOWS_S
    ]
    pause = np.diff(record.time_ms, prepend=0).max()
    return [
        *made,
        Figure("recorded start: last new block after", float(record.time_ms.max()) / 1000, "s"),
        Figure("recorded start: longest time without a new block", float(pause) / 1000, "s"),
    ]


def block_sizes(record: Record, areas: Areas) -> list[Figure]:
    """Say what coarser blocks would bring in vain."""
    made = []
    for size in _SIZES:
        with doing(f"hot blocks of {size} KiB"):
            pieces = list(coarser(record, areas, (size << 10) // BLOCK))
            stored = compressed(pieces, max(FRAME, size << 10))
        raw = sum(map(len, pieces))
        made += [
            Figure(f"blocks of {size} KiB: touched", len(pieces), "blocks"),
            Figure(f"blocks of {size} KiB: uncompressed", raw / 1e6, "MB"),
            Figure(f"blocks of {size} KiB: zstd -3", stored / 1e6, "MB"),
        ]
    return made


def coarser(record: Record, areas: Areas, factor: int) -> Iterator[bytes]:
    """Yield the touched blocks, each of `factor` blocks of 4 KiB, in first-touch order."""
    blocks = expand(record.ranges)
    keys = Blocks(blocks.layer, blocks.block // factor).key
    found = from_keys(keys[np.sort(np.unique(keys, return_index=True)[1])])
    size = factor * BLOCK
    with ExitStack() as stack:
        files = [
            stack.enter_context(areas[layer.layer_digest].path.open("rb", 0))
            for layer in record.layers
        ]
        for layer, block in zip(found.layer.tolist(), found.block.tolist(), strict=True):
            yield os.pread(files[layer].fileno(), size, block * size)


def packs(record: Record, areas: Areas, directory: Path) -> list[Figure]:
    """Make packs with frames of several sizes and levels; weigh and unpack them."""
    usual = PackSettings()
    wanted = {
        f"pack, frames of {size} KiB": PackSettings((size << 10) // BLOCK, usual.level)
        for size in _FRAMES
    } | {
        f"pack, zstd -{level}": PackSettings(usual.frame_blocks, level)
        for level in _LEVELS
        if level != usual.level
    }
    merged = merge([record])
    local = {row: areas[digest] for row, digest in chosen_layers(merged, {}).items()}
    expected = {
        merged.layers[row].layer_digest: Expected(area.merkle_root, merged.layers[row].data_size)
        for row, area in local.items()
    }
    made = []
    target = directory / "pack"
    for name, settings in wanted.items():
        with doing(name):
            began = time.process_time()
            size = make_pack(merged, local, target, settings).size
            making = time.process_time() - began
            first, speed = unpacking(target.read_bytes(), expected)
        made += [
            Figure(f"{name}: size", size / 1e6, "MB"),
            Figure(f"{name}: made in, processor time with hashing the layers", making, "s"),
            Figure(f"{name}: unpacked and verified by one core", speed / 1e6, "MB/s"),
            Figure(f"{name}: first frame at 200 Mbit/s after", first * 8 / SLOW / 1e6, "s"),
        ]
    return made


def unpacking(data: bytes, expected: Mapping[str, Expected]) -> tuple[int, float]:
    """Return the bytes up to the end of a pack's first frame, and bytes unpacked in a second."""
    stream = PackStream(expected)
    began = time.process_time()
    stream.receive(data)
    first = unpacked = 0
    while (frame := stream.next_frame()) is not None:
        first = first or stream.resume_at
        unpacked += sum(len(part.data) for part in frame)
    return first, unpacked / (time.process_time() - began)


def read_aheads(place: Place) -> list[Figure]:
    """Start with hot blocks and several read-aheads of the FUSE mount, and without page cache."""
    ways = {
        f"FUSE read-ahead {size} KiB": f"fuse:\n  read_ahead_kb: {size}\n" for size in _READ_AHEADS
    }
    ways["hot blocks not put into the page cache"] = "hot:\n  page_cache: false\n"
    made = []
    for way, done in in_turn(place, ways).items():
        median = statistics.median
        made += [
            Figure(f"{way}: work done", median(one.seconds for one in done), "s"),
            Figure(f"{way}: block reads", median(one.block_reads for one in done), "reads"),
            Figure(f"{way}: server's processor time", median(one.processor for one in done), "s"),
        ]
    return made
