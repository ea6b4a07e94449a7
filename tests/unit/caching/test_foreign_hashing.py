"""Cached chunks of layers by other formats' tables are hashed as those tables have digests."""

from itertools import pairwise
from pathlib import Path

from bootseer.digests import digest_of
from snapshotter.caching.hashing import hash_chunks
from snapshotter.layers.chunkread import ChunkDecoder
from snapshotter.layers.foreign import estargz
from snapshotter.layers.foreign.assembly import Layer
from snapshotter.layers.format import encode
from snapshotter.limits import DEFAULT
from tests.toc_maker import make_estargz


def test_a_chunk_that_went_bad_on_disk_is_found(tmp_path: Path) -> None:
    blob, table = make_estargz({"a": b"a" * 2500, "b": b"b" * 10})
    start = estargz.toc_offset(blob, len(blob))
    layer = Layer(digest_of(blob), len(blob))
    index = estargz.convert(layer, digest_of(table), blob[start:], DEFAULT)
    decoder = ChunkDecoder(index)
    edges = pairwise(index.chunks.blob.tolist())
    area = b"".join(bytes(decoder(row, blob[a:b], b"")) for row, (a, b) in enumerate(edges))
    data, file = tmp_path / "data", tmp_path / "index"
    data.write_bytes(area)
    file.write_bytes(encode(index))
    here = bytes([1]) * len(index.chunks.codec)
    assert hash_chunks(data, file, here).wrong == ()
    damaged = bytearray(area)
    damaged[1500] ^= 1
    data.write_bytes(damaged)
    assert hash_chunks(data, file, here).wrong == (2,)
    assert hash_chunks(data, file, here[:2] + b"\0" + here[3:]).wrong == ()
