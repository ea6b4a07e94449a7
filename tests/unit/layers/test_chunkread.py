"""One chunk at random: right, or refused by name."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layerbytes import area_of, content, gzip_of, index, read_chunk, tar_of, zstd_blocks, zstd_of

from bootseer.errors import CorruptError
from snapshotter.layers.chunkread import ChunkDecoder
from snapshotter.layers.records import Codec
from snapshotter.layers.windows import pack
from snapshotter.limits import DEFAULT

CONTENTS = [content(kind, 40_000, seed) for seed in range(3) for kind in ("text", "mixed", "noise")]
TAR = tar_of(CONTENTS)
AREA = area_of(CONTENTS)
BLOBS = {
    "plain": TAR,
    "gzip": gzip_of(TAR),
    "gzip members": gzip_of(TAR, member=9_000),
    "zstd frames": zstd_of(TAR, frame=9_000, skippable=True),
}
LAYERS = {name: index(blob, spacing=30_000) for name, blob in BLOBS.items()}
names = st.sampled_from(sorted(BLOBS))


def parts(name, chunk):
    """What a node has in hand before it decodes a chunk."""
    chunks, blob = LAYERS[name].index.chunks, BLOBS[name]
    window = LAYERS[name].windows_blob[int(chunks.window[chunk]) : int(chunks.window[chunk + 1])]
    return blob[int(chunks.blob[chunk]) : int(chunks.blob[chunk + 1]) + 1], window


def changed(name, **columns):
    """A decoder whose chunk table has other columns."""
    found = LAYERS[name].index
    return ChunkDecoder(replace(found, chunks=replace(found.chunks, **columns)))


@pytest.mark.parametrize("name", BLOBS)
def test_each_chunk_is_its_part_of_the_data_area(name):
    layer = LAYERS[name]
    data = layer.index.chunks.data.tolist()
    assert len(data) > 5
    for chunk in range(len(data) - 1):
        assert read_chunk(layer, BLOBS[name], chunk) == AREA[data[chunk] : data[chunk + 1]]


def test_an_error_names_layer_chunk_and_offset():
    compressed, window = parts("gzip", 3)
    decoder = ChunkDecoder(LAYERS["gzip"].index)
    with pytest.raises(CorruptError) as caught:
        decoder(3, compressed[:100], window)
    offset = int(LAYERS["gzip"].index.chunks.blob[3])
    assert LAYERS["gzip"].index.layer_digest in caught.value.message
    assert f"chunk 3 at {offset}" in caught.value.message
    assert caught.value.hint


@given(names, st.integers(0), st.integers(0), st.integers(1, 255))
def test_damaged_bytes_give_the_right_content_or_an_error(name, chunk, at, flip):
    data = LAYERS[name].index.chunks.data.tolist()
    chunk %= len(data) - 1
    compressed, window = parts(name, chunk)
    damaged = bytearray(compressed)
    damaged[at % len(damaged)] ^= flip
    try:
        found = ChunkDecoder(LAYERS[name].index)(chunk, bytes(damaged), window)
    except CorruptError:
        return
    assert found == AREA[data[chunk] : data[chunk + 1]]


@given(names, st.integers(0), st.binary(max_size=200), st.binary(max_size=200))
def test_nonsense_is_refused(name, chunk, compressed, window):
    data = LAYERS[name].index.chunks.data.tolist()
    chunk %= len(data) - 1
    try:
        found = ChunkDecoder(LAYERS[name].index)(chunk, compressed, window)
    except CorruptError:
        return
    assert found == AREA[data[chunk] : data[chunk + 1]]


@given(st.integers(0), st.integers(0), st.integers(1, 255))
def test_a_damaged_window_gives_the_right_content_or_an_error(chunk, at, flip):
    data = LAYERS["gzip"].index.chunks.data.tolist()
    chunk %= len(data) - 1
    compressed, window = parts("gzip", chunk)
    damaged = bytearray(window or b"\0")
    damaged[at % len(damaged)] ^= flip
    try:
        found = ChunkDecoder(LAYERS["gzip"].index)(chunk, compressed, bytes(damaged))
    except CorruptError:
        return
    assert found == AREA[data[chunk] : data[chunk + 1]]


@given(
    names,
    st.sampled_from(["tar", "data", "skip", "bits", "codec", "blob"]),
    st.integers(0),
    st.integers(0, 1 << 20),
)
def test_an_index_that_lies_is_refused(name, column, row, value):
    chunks = LAYERS[name].index.chunks
    column_now = getattr(chunks, column)
    other = column_now.copy()
    other[row % len(other)] = min(value, np.iinfo(other.dtype).max)
    decoder = changed(name, **{column: other})
    for chunk in range(len(chunks.digest)):
        try:
            found = decoder(chunk, *parts(name, chunk))
        except CorruptError:
            continue
        assert (
            found == AREA[int(other[chunk]) : int(other[chunk + 1])] if column == "data" else True
        )


def test_another_digest_is_refused():
    digest = LAYERS["gzip"].index.chunks.digest.copy()
    digest[2, 7] ^= 1
    with pytest.raises(CorruptError, match="digest"):
        changed("gzip", digest=digest)(2, *parts("gzip", 2))


def test_a_chunk_beyond_the_limit_is_refused_before_anything_is_allocated():
    tar = LAYERS["gzip"].index.chunks.tar.copy()
    tar[3:] += np.uint64(DEFAULT.chunk)
    with pytest.raises(CorruptError, match="in a chunk"):
        changed("gzip", tar=tar)(2, *parts("gzip", 2))


def test_an_unknown_codec_is_refused():
    codec = LAYERS["gzip"].index.chunks.codec.copy()
    codec[2] = 9
    with pytest.raises(CorruptError, match="codec"):
        changed("gzip", codec=codec)(2, *parts("gzip", 2))


def test_a_zstd_bomb_in_a_chunk_stops_at_the_chunks_length():
    codec = np.full_like(LAYERS["gzip"].index.chunks.codec, Codec.ZSTD)
    bomb = zstd_blocks(kind=1, sizes=[128 << 10] * 100_000)
    with pytest.raises(CorruptError, match="bytes where the index says"):
        changed("gzip", codec=codec, skip=np.zeros_like(codec))(2, bomb, b"")


def test_a_window_larger_than_a_window_is_refused():
    compressed, _ = parts("gzip", 2)
    with pytest.raises(CorruptError, match="window"):
        ChunkDecoder(LAYERS["gzip"].index)(2, compressed, pack(bytes(1 << 20)))


def test_a_chunk_without_content_needs_no_bytes():
    tar = tar_of([b""] * 40)
    layer = index(gzip_of(tar, member=2_000), spacing=2_000)
    assert len(layer.index.chunks.digest) > 3
    assert ChunkDecoder(layer.index)(1, b"", b"") == b""
