"""What a start touches, exactly: an image's pack looked into, and a second start beside it."""

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

from benchmarks.figures import Figure
from benchmarks.lab import hotblocks
from benchmarks.measure.hot_place import Place
from bootseer.blobs.directory import DirectoryBlobs
from bootseer.errors import HostError
from snapshotter.hot.pack import PackSettings
from snapshotter.hot.pack_layout import (
    HEAD,
    PackDirectory,
    PackLayer,
    parse_directory,
    parse_head,
)
from snapshotter.hot.ranges import Ranges, expand
from snapshotter.hot.record import HotLayer, Record
from snapshotter.hotstore.blobs import BlobHotStore
from snapshotter.layers.records import BLOCK
from snapshotter.ports import ImageKey

FRAME: Final = 512 << 10
_LEVEL: Final = 3

Block = tuple[str, int]
"""Layer digest, number of the block in its data area."""


@dataclass(frozen=True, slots=True, eq=False)
class HotPack:
    """An image's pack."""

    directory: PackDirectory
    size: int
    """In bytes."""
    compressed: int
    """Bytes of its blocks alone in zstd -3, frames of 512 KiB: what any start has to fetch."""

    @property
    def blocks(self) -> set[Block]:
        """The blocks in it."""
        return blocks_of(self.directory.layers, self.directory.ranges)


def read_pack(path: Path) -> HotPack:
    """Read a pack that was just made here. Raises `CorruptError`."""
    data = path.read_bytes()
    head = parse_head(data[: HEAD.size])
    directory = parse_directory(head, data[HEAD.size : head.hashes_at])
    return HotPack(directory, len(data), compressed(frames(data, directory)))


def frames(data: bytes, directory: PackDirectory) -> Iterator[bytes]:
    """Yield the frames of a pack, uncompressed."""
    edges = directory.frame_at.tolist()
    inflater = zstandard.ZstdDecompressor()
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        stored = data[start:stop]
        raw = len(stored) == directory.raw_size(number)
        yield stored if raw else inflater.decompress(stored)


def compressed(pieces: Iterable[bytes], frame: int = FRAME) -> int:
    """Return the bytes that pieces take in zstd -3, cut into frames anew."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    buffer, total = bytearray(), 0
    for piece in pieces:
        buffer += piece
        while len(buffer) >= frame:
            total += len(compressor.compress(bytes(buffer[:frame])))
            del buffer[:frame]
    return total + (len(compressor.compress(bytes(buffer))) if buffer else 0)


def blocks_of(layers: Sequence[PackLayer] | Sequence[HotLayer], ranges: Ranges) -> set[Block]:
    """Return the blocks of ranges; `layers` are the rows that these count."""
    digests = [layer.layer_digest for layer in layers]
    blocks = expand(ranges)
    rows = zip(blocks.layer.tolist(), blocks.block.tolist(), strict=True)
    return {(digests[layer], block) for layer, block in rows}


def record_a_start(place: Place, manifest_digest: str) -> tuple[Record, Path]:
    """Record a start that has no help; return the record, and the store that has nothing else.

    Raises `HostError`.
    """
    store = place.directory / "records"
    where = f"hot:\n  record: always\n  prefetch: false\n  store: file://{store}\n"
    with place.node(where) as node:
        place.start(node)
        hotblocks.end_recordings(node)
    key = ImageKey(place.reference, manifest_digest)
    records = asyncio.run(BlobHotStore(DirectoryBlobs(store)).records(key, ""))
    if not records:
        raise HostError("the second start was not recorded")
    return records[0], store


def figures(pack: HotPack, record: Record) -> list[Figure]:
    """Return how much of the pack another start of the same work uses, and the other way round."""
    packed, touched = pack.blocks, blocks_of(record.layers, record.ranges)
    megabytes = len(packed) * BLOCK / 1e6
    return [
        Figure(
            "prefetched and not used by a second, identical run",
            100 * len(packed - touched) / len(packed),
            "%",
            5.0,
        ),
        Figure(
            "blocks that the second run touched and the pack lacks",
            100 * len(touched - packed) / len(touched),
            "%",
        ),
        Figure("hot blocks", len(packed), "blocks"),
        Figure("hot blocks, uncompressed", megabytes, "MB"),
        Figure("hot blocks, zstd -3 in frames of 512 KiB", pack.compressed / 1e6, "MB"),
        Figure(f"pack, zstd -{PackSettings().level} with its hashes", pack.size / 1e6, "MB"),
    ]
