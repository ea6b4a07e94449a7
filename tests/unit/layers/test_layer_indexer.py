"""One pass over a layer: the same facts for every wrapping, however it is cut."""

import gc
import io
import tarfile
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib
from layerbytes import (
    KINDS,
    area_of,
    content,
    cut,
    files,
    gzip_of,
    index,
    merkle_root_of,
    read_all,
    sha256_of,
    tar_of,
    zstd_blocks,
    zstd_of,
)
from tar_maker import END, entry, pax

from bootseer.errors import CorruptError
from snapshotter.layers.format import decode, encode
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.layers.records import BLOCK, Codec
from snapshotter.limits import DEFAULT

WRAPPINGS = {
    "plain": lambda tar: tar,
    "gzip": gzip_of,
    "gzip stored": lambda tar: gzip_of(tar, level=0),
    "gzip fixed": lambda tar: gzip_of(tar, strategy=4),
    "igzip": lambda tar: isal_zlib.compress(tar, 2, 31),
    "gzip members": lambda tar: gzip_of(tar, member=7_000),
    "gzip tiny members": lambda tar: gzip_of(tar, member=97),
    "gzip empty members": lambda tar: gzip_of(b"") + gzip_of(tar) + 2 * gzip_of(b""),
    "zstd": zstd_of,
    "zstd frames": lambda tar: zstd_of(tar, frame=7_000),
    "zstd tiny frames": lambda tar: zstd_of(tar, frame=97),
    "zstd skippable": lambda tar: zstd_of(tar, frame=7_000, skippable=True),
}
wrappings = st.sampled_from(sorted(WRAPPINGS))


class Sunk:
    """A sink that keeps what it is given, and looks whether it comes in order."""

    def __init__(self, size=0):
        self.data = bytearray(size)
        self.position = 0

    def __call__(self, offset, data):
        assert offset >= self.position
        self.position = offset + len(data)
        if len(self.data) < self.position:
            self.data += bytes(self.position - len(self.data))
        self.data[offset : self.position] = data


def check(layer, blob, tar, area):
    """Everything that is known of a layer is true, and the validator agrees."""
    found = layer.index
    assert found.layer_digest == sha256_of(blob)
    assert found.layer_size == len(blob)
    assert found.diff_id == sha256_of(tar)
    assert found.merkle_root == merkle_root_of(area)
    assert found.data_size == len(area)
    assert found.windows_digest == (sha256_of(layer.windows_blob) if layer.windows_blob else "")
    decode(encode(found))


@settings(max_examples=200)
@given(
    wrappings,
    files,
    st.sampled_from([300, 3_000, 20_000, 1 << 20]),
    st.sampled_from([1 << 20, 10_000, 333]),
)
def test_chunks_read_in_any_order_make_up_the_data_area(wrapping, contents, spacing, piece):
    tar, area = tar_of(contents), area_of(contents)
    blob = WRAPPINGS[wrapping](tar)
    sunk = Sunk()
    layer = index(blob, piece=piece, spacing=spacing, sink=sunk)
    check(layer, blob, tar, area)
    assert layer.random_access
    assert read_all(layer, blob) == area
    assert bytes(sunk.data) == area[: len(sunk.data)]
    assert not any(area[len(sunk.data) :])


@settings(max_examples=30)
@given(wrappings, files)
def test_fed_byte_by_byte_it_is_the_same_layer(wrapping, contents):
    tar = tar_of([data[:700] for data in contents])
    blob = WRAPPINGS[wrapping](tar)
    whole, bytewise = index(blob, spacing=2_000), index(blob, spacing=2_000, piece=1)
    assert encode(whole.index) == encode(bytewise.index)
    assert whole.windows_blob == bytewise.windows_blob


@given(wrappings, files)
def test_without_windows_the_facts_are_the_same(wrapping, contents):
    tar, area = tar_of(contents), area_of(contents)
    blob = WRAPPINGS[wrapping](tar)
    layer = index(blob, spacing=4_000, windows=False)
    check(layer, blob, tar, area)
    assert layer.windows_blob == b""
    assert layer.index.tree.names == index(blob, spacing=4_000).index.tree.names


def test_cuts_inside_files_are_exact_and_others_fall_to_the_next_file():
    contents = [b"a" * 5_000, b"", b"b" * 100, b"c" * 9_000]
    tar = tar_of(contents)
    chunks = index(tar, spacing=512).index.chunks
    starts = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        members = [entry for entry in archive if entry.isreg() and entry.size]
    data = 0
    for member in members:
        starts[member] = (member.offset_data, data, member.size)
        data += -(-member.size // BLOCK) * BLOCK
    for tar_at, data_at in zip(chunks.tar.tolist(), chunks.data.tolist(), strict=True):
        inside = [d + tar_at - t for t, d, size in starts.values() if t < tar_at < t + size]
        behind = [d for t, d, _ in starts.values() if t >= tar_at]
        assert data_at == (inside or behind or [data])[0]


@pytest.mark.parametrize("wrapping", ["gzip", "gzip members", "plain", "zstd frames"])
def test_checkpoints_stand_about_where_they_are_wanted(wrapping):
    tar = tar_of([content("text", 600_000)])
    layer = index(WRAPPINGS[wrapping](tar), spacing=100_000)
    spans = np.diff(layer.index.chunks.tar)
    assert len(spans) >= 3
    assert spans[:-1].min() >= 25_000
    assert spans.max() <= 250_000


def test_a_layer_of_nothing_is_empty():
    layer = index(b"")
    assert len(layer.index.chunks.digest) == 0
    assert layer.index.data_size == 0
    decode(encode(layer.index))


def test_codecs_are_told_by_their_magic():
    tar = tar_of([b"x"])
    codecs = [set(index(WRAPPINGS[w](tar)).index.chunks.codec) for w in ("plain", "gzip", "zstd")]
    assert codecs == [{Codec.RAW}, {Codec.DEFLATE}, {Codec.ZSTD}]


@pytest.mark.parametrize("blob", [b"B", b"BZh91AY&SY" * 100, b"\xfd7zXZ\0" * 200, b"no" * 5000])
def test_what_is_no_layer_is_refused(blob):
    with pytest.raises(CorruptError):
        index(blob)


@given(wrappings, files, st.data())
def test_a_layer_that_stops_early_is_refused(wrapping, contents, data):
    tar = tar_of(contents)
    blob = WRAPPINGS[wrapping](tar)
    ends = {"plain": len(tar) - len(tar.rstrip(b"\0")), "gzip empty members": 60}
    most = len(blob) - max(1, ends.get(wrapping, 1) + 1)
    end = data.draw(st.integers(1, max(1, most)))
    try:
        layer = index(blob[:end], spacing=3_000)
    except CorruptError:
        return
    # A cut between members, frames or tar entries leaves a shorter layer that is whole in itself.
    assert layer.index.diff_id != sha256_of(tar)


@settings(max_examples=200)
@given(wrappings, files, st.integers(0), st.integers(1, 255), st.booleans())
def test_a_damaged_layer_is_refused_or_is_another_layer(wrapping, contents, at, flip, windows):
    blob = WRAPPINGS[wrapping](tar_of(contents))
    damaged = bytearray(blob)
    damaged[at % len(damaged)] ^= flip
    try:
        layer = index(bytes(damaged), spacing=3_000, windows=windows)
    except CorruptError:
        return
    assert layer.index.layer_digest != sha256_of(blob)


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("trailing", [b"\0", bytes(512), b"garbage", b"\x1f\x8b\x09"])
def test_bytes_behind_the_last_gzip_member_are_refused(trailing, windows):
    blob = gzip_of(tar_of([b"x"])) + trailing
    with pytest.raises(CorruptError, match="gzip"):
        index(blob, windows=windows)


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize(("byte", "reason"), [(-8, "CRC-32"), (-1, "bytes")])
def test_a_wrong_trailer_is_refused(byte, reason, windows):
    blob = bytearray(gzip_of(tar_of([b"x"])))
    blob[byte] ^= 1
    with pytest.raises(CorruptError, match=reason):
        index(bytes(blob), windows=windows)


def test_a_single_large_zstd_frame_is_streamed_but_not_read_at_random():
    limits = replace(DEFAULT, chunk=64 << 10)
    contents = [content("text", 300_000), content("noise", 50_000)]
    tar, area = tar_of(contents), area_of(contents)
    sunk = Sunk(len(area))
    blob = zstd_of(tar)
    layer = index(blob, limits=limits, sink=sunk)
    check(layer, blob, tar, area)
    assert not layer.random_access
    assert bytes(sunk.data) == area
    assert np.diff(layer.index.chunks.data).max() <= limits.chunk
    decode(encode(layer.index), limits)


def test_a_deflate_block_larger_than_a_chunk_may_be_is_not_read_at_random():
    limits = replace(DEFAULT, chunk=256 << 10)
    contents = [bytes(6 << 20)]
    blob = gzip_of(tar_of(contents))
    layer = index(blob, limits=limits, spacing=64 << 10)
    check(layer, blob, tar_of(contents), area_of(contents))
    assert not layer.random_access
    assert np.diff(layer.index.chunks.tar).max() <= limits.chunk
    decode(encode(layer.index), limits)


def test_one_huge_deflate_block_is_one_chunk():
    contents = [bytes(3 << 20)]
    blob = gzip_of(tar_of(contents))
    layer = index(blob, spacing=64 << 10)
    assert layer.random_access
    assert read_all(layer, blob) == area_of(contents)


def sparse_file(size, pieces, stored):
    """A tar entry of GNU sparse format 0.1 in PAX."""
    numbers = b",".join(b"%d,%d" % piece for piece in pieces)
    records = {
        b"GNU.sparse.size": b"%d" % size,
        b"GNU.sparse.numblocks": b"%d" % len(pieces),
        b"GNU.sparse.map": numbers,
        b"GNU.sparse.major": b"0",
        b"GNU.sparse.minor": b"1",
    }
    return pax(*records.items()) + entry(b"sparse", stored)


def sparse_tar(size, pieces):
    stored = b"".join(bytes([1 + i]) * length for i, (_, length) in enumerate(pieces))
    area = bytearray(-(-size // BLOCK) * BLOCK)
    at = 0
    for offset, length in pieces:
        area[offset : offset + length] = stored[at : at + length]
        at += length
    tar = entry(b"first", b"1") + sparse_file(size, pieces, stored) + entry(b"last", b"2")
    return tar + END, b"1".ljust(BLOCK, b"\0") + bytes(area) + b"2".ljust(BLOCK, b"\0")


@pytest.mark.parametrize("wrap", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        (3 << 20, [(1 << 20, 700), (2 << 20, 5_000)]),
        (3 << 20, [(0, 100), (512, 100), ((3 << 20) - 512, 512)]),
        (3 << 20, [(0, 512)]),
        (1_000_001, []),
    ],
)
def test_holes_are_zeros_that_no_sink_sees_and_no_chunk_outgrows(wrap, size, pieces):
    limits = replace(DEFAULT, chunk=128 << 10)
    tar, area = sparse_tar(size, pieces)
    blob = WRAPPINGS[wrap](tar)
    sunk, given = Sunk(len(area)), []
    layer = index(
        blob,
        limits=limits,
        spacing=2_000,
        sink=lambda offset, data: (given.append(len(data)), sunk(offset, data)),
    )
    check(layer, blob, tar, area)
    assert bytes(sunk.data) == area
    assert sum(given) < 100_000
    assert np.diff(layer.index.chunks.data).max() <= limits.chunk
    decode(encode(layer.index), limits)
    if wrap == "plain":
        assert layer.random_access
        assert read_all(layer, blob) == area


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=6),
    st.sampled_from([100, 500, 2_000]),
    st.sampled_from(["plain", "gzip", "gzip tiny members"]),
)
def test_sparse_files_read_at_random_have_their_holes(gaps, spacing, wrapping):
    pieces, at = [], 0
    for gap, length in gaps:
        pieces.append((at + 512 * gap, 512 * length))
        at += 512 * (gap + length)
    tar, area = sparse_tar(at + 512, pieces)
    blob = WRAPPINGS[wrapping](tar)
    layer = index(blob, spacing=spacing)
    check(layer, blob, tar, area)
    assert read_all(layer, blob) == area


def test_a_few_bytes_of_zstd_that_repeat_for_ever_are_no_danger_to_memory():
    with pytest.raises(CorruptError):
        index(zstd_blocks(kind=1, sizes=[128 << 10] * 400))


def test_a_layer_larger_than_the_limit_is_refused():
    with pytest.raises(CorruptError, match="more than"):
        index(bytes(2048), limits=replace(DEFAULT, layer=2000))


def test_more_chunks_than_the_limit_are_refused():
    with pytest.raises(CorruptError, match="chunks"):
        index(tar_of([bytes(50_000)]), spacing=512, limits=replace(DEFAULT, chunks=10))


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("layer-")]


def wait_for_no_threads():
    for _ in range(500):
        gc.collect()
        if not threads():
            return
        time.sleep(0.01)
    raise AssertionError(threads())


LARGE = gzip_of(tar_of([content(kind, 300_000) for kind in KINDS]))


def test_an_error_leaves_no_thread_behind():
    damaged = bytearray(LARGE)
    damaged[-6] ^= 1
    with pytest.raises(CorruptError):
        index(bytes(damaged), spacing=10_000)
    wait_for_no_threads()


def test_an_indexer_that_is_forgotten_leaves_no_thread_behind():
    indexer = LayerIndexer(spacing=10_000)
    indexer.feed(LARGE[:100_000])
    assert threads()
    del indexer
    wait_for_no_threads()


def test_what_the_sink_raises_reaches_the_caller_and_nothing_more_reaches_the_sink():
    calls = []

    def sink(offset, data):
        calls.append(offset)
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        index(LARGE, piece=10_000, sink=sink)
    assert calls == [0]
    wait_for_no_threads()


def test_pieces_of_the_blob_may_be_of_any_size_and_the_index_is_the_same():
    wanted = index(LARGE, spacing=50_000)
    for size in (1_000, 12_345, 70_000):
        found = LayerIndexer(spacing=50_000)
        for part in cut(LARGE, size):
            found.feed(part)
        layer = found.finish()
        assert encode(layer.index) == encode(wanted.index)
        assert layer.windows_blob == wanted.windows_blob
