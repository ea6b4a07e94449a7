"""What an index costs: time to build, size, time to turn it into EROFS metadata."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.figures import Figure, median_ratio, spread
from benchmarks.measure.inflate import seconds_on_one_core
from benchmarks.measure.trees import alternate
from snapshotter.erofs.build import build
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.format import decode, encode
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.layers.records import BLOCK
from tooling.progress import doing

_PIECE: Final = 1 << 20
_ENTRIES: Final = 27_000


def index_layer(path: Path) -> IndexedLayer:
    """Index a layer as `bootseer image index` does."""
    indexer = LayerIndexer()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            indexer.feed(piece)
    return indexer.finish()


def seconds_to_index(path: Path) -> float:
    """Return how long indexing a layer takes."""
    began = time.perf_counter()
    index_layer(path)
    return time.perf_counter() - began


def measure_build(layer: Path, runs: int) -> list[Figure]:
    """Compare indexing the layer with inflating it on one core."""
    with doing(f"indexing a layer of {layer.stat().st_size / 1e6:.0f} MB"):
        ours, zlib = alternate(
            lambda: seconds_to_index(layer), lambda: seconds_on_one_core(layer), runs
        )
    return [
        Figure("index build / inflating with zlib on one core", median_ratio(ours, zlib), "x", 1.6),
        *spread("index build", ours, "s"),
        *spread("inflating with zlib", zlib, "s"),
    ]


def measure_size(layers: Sequence[Path]) -> list[Figure]:
    """Compare the published index with the compressed image."""
    indexes = windows = compressed = chunks = 0
    encoded = []
    with doing("indexing every layer"):
        for layer in layers:
            made = index_layer(layer)
            encoded.append(encode(made.index))
            indexes += len(encoded[-1])
            windows += len(made.windows_blob)
            compressed += layer.stat().st_size
            chunks += len(made.index.chunks.codec)
    return [
        Figure("index / compressed image", 100 * (indexes + windows) / compressed, "%", 3.0),
        Figure("of it fetched whole at a start", 100 * indexes / compressed, "%"),
        Figure("compressed bytes in a chunk, mean", compressed / chunks / 1024, "KiB"),
        *measure_metadata(encoded),
    ]


def measure_metadata(encoded: Sequence[bytes]) -> list[Figure]:
    """Time the way from index bytes to EROFS metadata, for as many entries as in the goal."""
    began = time.perf_counter()
    entries = 0
    while entries < _ENTRIES:
        for data in encoded:
            index = decode(data)
            build(index.tree, index.data_size // BLOCK, Options(uuid_of("benchmark")))
            entries += int(np.size(index.tree.inodes.mode))
    seconds = (time.perf_counter() - began) * _ENTRIES / entries
    return [Figure("index to EROFS metadata, 27,000 entries", seconds, "s", 0.5)]
