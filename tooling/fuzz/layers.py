"""Targets: layers and what reads them. What is not refused is held against another reader."""

import gzip
import io
from collections.abc import Iterator
from functools import cache

import zstandard

from bootseer.errors import CorruptError
from snapshotter.erofs.build import build
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers import sections
from snapshotter.layers.chunkread import ChunkDecoder
from snapshotter.layers.events import LayerStream, Piece
from snapshotter.layers.format import decode, decode_map, encode
from snapshotter.layers.gzip_stream import GzipStream
from snapshotter.layers.index_writer import raw_sections
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.layers.records import BLOCK, LayerIndex
from snapshotter.layers.tar import pax, sparse
from snapshotter.layers.tar.fields import FieldError
from snapshotter.layers.tar.header import BLOCK as BLOCK_OF_TAR
from snapshotter.layers.tar.header import Header
from snapshotter.layers.tar.header import parse as parse_header
from snapshotter.layers.tar.indexer import TarIndexer
from snapshotter.layers.validate import check_map, check_tree
from snapshotter.layers.zstd_stream import ZstdStream
from snapshotter.limits import DEFAULT
from tooling.fuzz import samples
from tooling.fuzz.target import Target, must

_SPACING = 4096
_PIECE = 700
"""Bytes that streams get at a time: no divisor of any size in a format."""
_MOST = 8 << 20
"""Bytes of output that are compared: an input may stand for thousands of times as many."""


def _cut(data: bytes, piece: int = _PIECE) -> Iterator[bytes]:
    return (data[at : at + piece] for at in range(0, len(data), piece))


def run_tar(data: bytes) -> None:
    """A layer as tar: a tree that keeps the laws that the writer of EROFS relies on."""
    indexer = TarIndexer()
    try:
        for piece in _cut(data):
            indexer.feed(piece)
        tree, _ = indexer.finish()
    except CorruptError:
        return
    check_tree(tree, indexer.data_size, DEFAULT)


def run_pax(data: bytes) -> None:
    """A PAX header's contents, over a plain header."""
    try:
        records = pax.parse(data)
        pax.override(_plain_header(), records)
        pax.xattrs(records)
        found = sparse.described(records)
        if found and found.pieces is not None:
            sparse.runs(found.pieces, found.size or 0, 0, 0)
    except FieldError:
        return


@cache
def _plain_header() -> Header:
    return parse_header(samples.tar()[:BLOCK_OF_TAR])


def _output(stream: LayerStream, data: bytes) -> bytes | None:
    """Return what a stream makes of a blob, or as much as is compared; None: it is refused."""
    out = io.BytesIO()
    try:
        for events in (*(stream.feed(piece) for piece in _cut(data)), stream.finish()):
            for event in events:
                if isinstance(event, Piece) and out.tell() < _MOST:
                    out.write(event.data)
    except CorruptError:
        return None
    return out.getvalue()[:_MOST]


def run_gzip(data: bytes) -> None:
    """A gzip layer, cut anywhere: the same bytes as Python's own reader gives."""
    ours = _output(GzipStream(_SPACING), data)
    fast = _output(GzipStream(_SPACING, windows=False), data)
    must(ours == fast, "with windows and without, a blob reads differently")
    if ours is None or not data:
        return
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        must(file.read(_MOST) == ours, "gzip reads differently")


def run_zstd(data: bytes) -> None:
    """A zstd layer, cut anywhere: the same bytes as the library's own reader gives."""
    ours = _output(ZstdStream(_SPACING, DEFAULT), data)
    if ours is None:
        return
    window = zstandard.ZstdDecompressor(max_window_size=DEFAULT.zstd_window)
    with window.stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        must(reader.read(_MOST) == ours, "zstd reads differently")


def run_layer(data: bytes) -> None:
    """A layer of any kind, through to its index and back, and every chunk of it."""
    try:
        layer = _index(data)
    except CorruptError:
        return
    index = decode(encode(layer.index))
    build(index.tree, index.data_size // BLOCK, Options(uuid_of(index.layer_digest)))
    if layer.random_access and index.data_size <= _MOST:
        decoder = ChunkDecoder(index)
        for chunk in range(len(index.chunks.digest)):
            decoder(chunk, *_stored(layer, data, chunk))


def _index(blob: bytes) -> IndexedLayer:
    indexer = LayerIndexer(spacing=_SPACING)
    try:
        for piece in _cut(blob, 20_000):
            indexer.feed(piece)
        return indexer.finish()
    finally:
        indexer.close()


def _stored(layer: IndexedLayer, blob: bytes, chunk: int) -> tuple[bytes, bytes]:
    """Return what a node fetches of a chunk: its bytes and one more, and its window."""
    chunks = layer.index.chunks
    compressed = blob[int(chunks.blob[chunk]) : int(chunks.blob[chunk + 1]) + 1]
    return compressed, layer.windows_blob[int(chunks.window[chunk]) : int(chunks.window[chunk + 1])]


@cache
def _layers() -> tuple[tuple[IndexedLayer, bytes], ...]:
    blobs = [*samples.gzips()[:3], *samples.zstds()[:3], samples.tar()]
    return tuple((_index(blob), blob) for blob in blobs)


def run_chunk(data: bytes) -> None:
    """What a registry sends for a chunk: the right bytes, or an error.

    First byte: which layer; second: which chunk; next two: length of the window, which comes first.
    """
    layer, blob = _layers()[(data[0] if data else 0) % len(_layers())]
    chunk = (data[1] if len(data) > 1 else 0) % len(layer.index.chunks.digest)
    size = int.from_bytes(data[2:4], "little")
    decoder = ChunkDecoder(layer.index)
    try:
        content = decoder(chunk, data[4 + size :], data[4 : 4 + size])
    except CorruptError:
        return
    right = decoder(chunk, *_stored(layer, blob, chunk))
    must(bytes(content) == bytes(right), "a chunk has other bytes")


def _chunks() -> Iterator[bytes]:
    for number, (layer, blob) in enumerate(_layers()):
        for chunk in range(min(len(layer.index.chunks.digest), 3)):
            compressed, window = _stored(layer, blob, chunk)
            yield bytes((number, chunk)) + len(window).to_bytes(2, "little") + window + compressed


def run_index(data: bytes) -> None:
    """An index file: what is read of it can be mounted."""
    try:
        check_map(decode_map(data))
        index = decode(data)
    except CorruptError:
        return
    build(index.tree, index.data_size // BLOCK, Options(uuid_of(index.layer_digest)))


def _indexes() -> list[LayerIndex]:
    return [layer.index for layer, _ in _layers()]


def run_index_sections(data: bytes) -> None:
    """An index whose sections have their digests: kind (1 byte), length (2 bytes), bytes; again."""
    raw: dict[int, bytes] = {}
    at = 0
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "little")
        raw[data[at]] = data[at + 3 : at + 3 + size]
        at += 3 + size
    run_index(sections.pack(raw))


def _sections() -> Iterator[bytes]:
    for index in _indexes():
        raw = {int(kind): content for kind, content in raw_sections(index).items()}
        if all(len(content) < 1 << 16 for content in raw.values()):
            yield b"".join(
                bytes([kind]) + len(content).to_bytes(2, "little") + content
                for kind, content in raw.items()
            )


def _pax_seeds() -> list[bytes]:
    def record(key: str, value: str) -> bytes:
        rest = f" {key}={value}\n".encode()
        size = next(
            size for size in range(len(rest), len(rest) + 9) if len(str(size)) + len(rest) == size
        )
        return str(size).encode() + rest

    plain = [("path", "d/f"), ("mtime", "1700000000.5"), ("uid", "1000"), ("size", "12")]
    holes = [("GNU.sparse.size", "90"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,4")]
    pairs = [
        ("GNU.sparse.numblocks", "1"),
        ("GNU.sparse.offset", "0"),
        ("GNU.sparse.numbytes", "4"),
    ]
    named = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "f")]
    attributes = [("SCHILY.xattr.user.a", "1"), ("SCHILY.xattr.security.capability", "x" * 20)]
    return [
        b"".join(record(*pair) for pair in one) for one in (plain, holes, pairs, named, attributes)
    ]


TARGETS = (
    Target("tar", run_tar, samples.tars),
    Target("pax", run_pax, _pax_seeds),
    Target("gzip", run_gzip, samples.gzips),
    Target("zstd", run_zstd, samples.zstds),
    Target("layer", run_layer, lambda: [*samples.tars(), *samples.gzips(), *samples.zstds()]),
    Target("chunk", run_chunk, _chunks),
    Target("index", run_index, lambda: [encode(index) for index in _indexes()]),
    Target("index-sections", run_index_sections, _sections),
)
