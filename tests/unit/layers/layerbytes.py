"""Layers in all their wrappings, and what the indexer must make of them, computed the slow way."""

import gzip
import hashlib
import io
import random
import tarfile
import zlib
from collections.abc import Iterator, Sequence

import zstandard
from hypothesis import strategies as st

from snapshotter.layers.chunkread import ChunkDecoder
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.layers.records import BLOCK
from snapshotter.layers.zstd_frame import MAGIC


def content(kind: str, size: int, seed: int = 1) -> bytes:
    """Bytes that compress not at all, well, mixed, or entirely."""
    source = random.Random(seed)
    if kind == "noise":
        return source.randbytes(size)
    if kind == "zeros":
        return bytes(size)
    if kind == "mixed":
        half = size // 2
        return content("text", half, seed) + content("noise", size - half, seed)
    words = [source.randbytes(source.randrange(2, 9)).hex().encode() for _ in range(200)]
    return b" ".join(source.choices(words, k=size // 6 + 1))[:size].ljust(size)


KINDS = ("noise", "text", "zeros", "mixed")

files = st.lists(
    st.builds(
        content,
        st.sampled_from(KINDS),
        st.one_of(st.integers(0, 20_000), st.sampled_from([0, 1, 4095, 4096, 4097, 60_000])),
        st.integers(0, 50),
    ),
    max_size=8,
)


def tar_of(contents: Sequence[bytes]) -> bytes:
    """A tar of regular files, with directories between them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for number, data in enumerate(contents):
            folder = tarfile.TarInfo(f"d{number:04}")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            entry = tarfile.TarInfo(f"d{number:04}/f")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def area_of(contents: Sequence[bytes]) -> bytes:
    """The data area of `tar_of` the same."""
    return b"".join(data + bytes(-len(data) % BLOCK) for data in contents)


def gzip_of(tar: bytes, *, member: int = 0, level: int = 6, strategy: int = 0) -> bytes:
    """One gzip member, or one for every `member` bytes."""
    pieces = [tar[at : at + member] for at in range(0, len(tar), member)] if member else [tar]
    return b"".join(_member(piece, level, strategy) for piece in pieces)


def _member(data: bytes, level: int, strategy: int) -> bytes:
    engine = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
    body = engine.compress(data) + engine.flush()
    header = gzip.compress(b"", mtime=0)[:10]
    tail = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return header + body + tail


SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"


def zstd_of(tar: bytes, *, frame: int = 0, level: int = 3, skippable: bool = False) -> bytes:
    """One zstd frame, or one for every `frame` bytes, with skippable ones between if asked for."""
    pieces = [tar[at : at + frame] for at in range(0, len(tar), frame)] if frame else [tar]
    between = SKIPPABLE if skippable else b""
    engine = zstandard.ZstdCompressor(level=level, write_checksum=True)
    return between + between.join(engine.compress(piece) for piece in pieces) + between


def zstd_blocks(*, kind: int, sizes: Sequence[int]) -> bytes:
    """A frame of hand-made blocks: 0 is raw, 1 is one byte repeated."""
    header = MAGIC + bytes([0, 10 << 3])  # no content size; a window of 1 MiB
    blocks = []
    for number, size in enumerate(sizes):
        last = number == len(sizes) - 1
        blocks.append((size << 3 | kind << 1 | last).to_bytes(3, "little"))
        blocks.append(b"x" * (1 if kind == 1 else size))
    return header + b"".join(blocks)


def cut(blob: bytes, size: int) -> Iterator[bytes]:
    return (blob[at : at + size] for at in range(0, len(blob), size))


def index(blob: bytes, *, piece: int = 1 << 20, **options: object) -> IndexedLayer:
    indexer = LayerIndexer(**options)
    for part in cut(blob, piece):
        indexer.feed(part)
    return indexer.finish()


def read_chunk(layer: IndexedLayer, blob: bytes, chunk: int) -> bytes:
    """Read one chunk the way a node does: its bytes and one more, and its window."""
    chunks = layer.index.chunks
    compressed = blob[int(chunks.blob[chunk]) : int(chunks.blob[chunk + 1]) + 1]
    window = layer.windows_blob[int(chunks.window[chunk]) : int(chunks.window[chunk + 1])]
    return ChunkDecoder(layer.index)(chunk, compressed, window)


def read_all(layer: IndexedLayer, blob: bytes) -> bytes:
    """Read the chunks in no sensible order."""
    order = list(range(len(layer.index.chunks.digest)))
    random.Random(3).shuffle(order)
    found = {chunk: read_chunk(layer, blob, chunk) for chunk in order}
    return b"".join(found[chunk] for chunk in sorted(found))


def merkle_root_of(data: bytes) -> bytes:
    """The tree as the kernel's documentation puts it, level by level."""
    if not data:
        return bytes(32)
    hashes = [hashlib.sha256(part).digest() for part in cut(data, BLOCK)]
    while len(hashes) > 1:
        level = b"".join(hashes)
        level += bytes(-len(level) % BLOCK)
        hashes = [hashlib.sha256(part).digest() for part in cut(level, BLOCK)]
    return hashes[0]


def sha256_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
