"""How far apart should checkpoints be? Sizes and times for one gzip layer, a row a spacing.

    python -m benchmarks.spacing LAYER.tar.gz

Times are of the processor (all threads), so that a busy machine gives the same figures.
"""

import random
import statistics
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snapshotter.layers.chunkread import ChunkDecoder
from snapshotter.layers.events import Window
from snapshotter.layers.format import encode
from snapshotter.layers.gzip_stream import GzipStream
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.layers.windows import pack

SPACINGS = (256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20)
SAMPLES = 300
PIECE = 1 << 20


@dataclass(frozen=True)
class Row:
    """What one spacing costs. Shares are of the compressed layer; sizes in bytes."""

    spacing: int
    chunks: int
    index: int
    sparse: int
    full: int
    compressed: float
    compressed_p95: float
    read_ms: float
    build: float
    """Times the processor time of inflating with Python's zlib."""


def pieces(blob: bytes) -> Iterator[bytes]:
    """Cut a blob as a download would."""
    return (blob[at : at + PIECE] for at in range(0, len(blob), PIECE))


def inflate_seconds(blob: bytes) -> float:
    """Return how long Python's zlib takes."""
    start = time.process_time()
    inflater = zlib.decompressobj(31)
    for piece in pieces(blob):
        inflater.decompress(piece)
    return time.process_time() - start


def build(blob: bytes, spacing: int) -> tuple[IndexedLayer, float]:
    """Return the index and how long it took."""
    start = time.process_time()
    indexer = LayerIndexer(spacing=spacing)
    for piece in pieces(blob):
        indexer.feed(piece)
    return indexer.finish(), time.process_time() - start


def full_windows(blob: bytes, spacing: int) -> int:
    """Return what the windows would take if they were kept whole."""
    stream = GzipStream(spacing)
    events = (event for piece in (*pieces(blob), None) for event in _events(stream, piece))
    return sum(len(pack(event.content)) for event in events if isinstance(event, Window))


def _events(stream: GzipStream, piece: bytes | None) -> Iterator[object]:
    return stream.finish() if piece is None else stream.feed(piece)


def read_ms(blob: bytes, layer: IndexedLayer) -> float:
    """Return the median time of one verified chunk at random."""
    chunks, decode = layer.index.chunks, ChunkDecoder(layer.index)
    times = []
    for i in random.Random(1).choices(range(len(chunks.digest)), k=SAMPLES):
        compressed = blob[int(chunks.blob[i]) : int(chunks.blob[i + 1]) + 1]
        window = layer.windows_blob[int(chunks.window[i]) : int(chunks.window[i + 1])]
        start = time.process_time()
        decode(i, compressed, window)
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e3


def measure(blob: bytes, spacing: int, inflate: float) -> Row:
    """Build and read with one spacing."""
    layer, seconds = build(blob, spacing)
    spans = np.diff(layer.index.chunks.blob)
    return Row(
        spacing=spacing,
        chunks=len(spans),
        index=len(encode(layer.index)),
        sparse=len(layer.windows_blob),
        full=full_windows(blob, spacing),
        compressed=float(spans.mean()),
        compressed_p95=float(np.percentile(spans, 95)),
        read_ms=read_ms(blob, layer),
        build=seconds / inflate,
    )


def main() -> None:
    """Print the table."""
    blob = Path(sys.argv[1]).read_bytes()
    inflate = inflate_seconds(blob)
    print(f"{len(blob)} bytes compressed, {inflate:.2f} s to inflate with zlib\n")
    print(
        "| spacing | chunks | index without windows | sparse windows | whole windows | all "
        "| compressed per chunk: mean, p95 | one chunk | build / zlib |"
    )
    print("|" + " --- |" * 9)
    for spacing in SPACINGS:
        row = measure(blob, spacing, inflate)
        shares = [size / len(blob) for size in (row.index, row.sparse, row.full)]
        print(
            f"| {spacing >> 10} KiB | {row.chunks} | {shares[0]:.2%} | {shares[1]:.2%} "
            f"| {shares[2]:.2%} | {shares[0] + shares[1]:.2%} "
            f"| {row.compressed / 1024:.0f}, {row.compressed_p95 / 1024:.0f} KiB "
            f"| {row.read_ms:.2f} ms | {row.build:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
