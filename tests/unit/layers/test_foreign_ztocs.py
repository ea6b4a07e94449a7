"""SOCI's zTOCs: made by their schema, read, and damaged."""

import contextlib
import gzip
import random
import struct
import tarfile
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootseer.digests import digest_of
from bootseer.errors import CorruptError
from snapshotter.layers.chunkread import ChunkDecoder
from snapshotter.layers.foreign import ztoc
from snapshotter.layers.foreign.assembly import Layer
from snapshotter.layers.foreign.flatbuffer import Buffer
from snapshotter.layers.format import decode, encode
from snapshotter.layers.records import Codec
from snapshotter.limits import DEFAULT
from snapshotter.serving.audit import same
from tests.image_maker import file_member, tar_of
from tests.indexed_layer import indexed
from tests.ztoc_maker import Ztoc, changed, flat_buffer, ztoc_of

_chance = random.Random(3)
_WORDS = [_chance.randbytes(_chance.randrange(3, 9)) for _ in range(4096)]


def text(size: int) -> bytes:
    """Return bytes that gzip halves."""
    return b"".join(_chance.choices(_WORDS, k=size // 5 + 1))[:size]


TAR = tar_of(
    [
        file_member("d", type=tarfile.DIRTYPE, mode=0o755, mtime=1_700_000_000),
        *(
            file_member(f"d/{number}", text(size), mtime=1_700_000_000)
            for number, size in enumerate((1, 700, 300_000, 900_000))
        ),
        file_member("d/tagged", b"x", pax_headers={"SCHILY.xattr.user.a": "\udcff\x00b"}),
        file_member("d/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        file_member("d/link", type=tarfile.SYMTYPE, linkname="0"),
        file_member("d/hard", type=tarfile.LNKTYPE, linkname="d/2"),
        file_member(".wh.gone", b""),
    ]
)
BLOB = gzip.compress(TAR, mtime=0)
LAYER = Layer(digest_of(BLOB), len(BLOB))
GOOD = ztoc_of(BLOB, TAR)


def read(made: Ztoc, layer: Layer = LAYER) -> ztoc.Converted:
    data = made.encode()
    return ztoc.convert(layer, digest_of(data), data, DEFAULT)


def contents(made: ztoc.Converted, blob: bytes) -> bytes:
    decoder = ChunkDecoder(made.index)
    windows = made.index.chunks.window.tolist()
    return b"".join(
        bytes(decoder(row, blob[a : b + 1], made.windows[windows[row] : windows[row + 1]]))
        for row, (a, b) in enumerate(pairwise(made.index.chunks.blob.tolist()))
    )


def test_a_ztoc_gives_the_tree_and_the_data_area_of_the_tar() -> None:
    made = read(GOOD)
    known, area = indexed(BLOB)
    assert len(made.index.chunks.bits) > 3
    assert made.index.chunks.bits.any(), "some spans begin inside a byte"
    assert same(made.index.tree, known.tree)
    assert contents(made, BLOB) == area
    assert same(decode(encode(made.index)), made.index)


def test_a_ztoc_of_version_one_leaves_the_first_checkpoint_out() -> None:
    size = struct.calcsize("<qqB") + (32 << 10)
    old = GOOD.checkpoints[:12] + GOOD.checkpoints[12 + size :]
    assert same(read(replace(GOOD, checkpoints=old)).index, read(GOOD).index)


def test_a_ztoc_of_an_uncompressed_layer_has_spans_of_one_size() -> None:
    span = 50_000
    zinfo = flat_buffer({0: ("i", 2), 1: ("q", span), 2: ("q", len(TAR))})
    digests = tuple(digest_of(TAR[at : at + span]).encode() for at in range(0, len(TAR), span))
    made = read(
        replace(GOOD, compressed=len(TAR), digests=digests, checkpoints=zinfo, compression=2),
        Layer(digest_of(TAR), len(TAR)),
    )
    assert set(made.index.chunks.codec.tolist()) == {Codec.RAW}
    known, area = indexed(TAR)
    assert same(made.index.tree, known.tree)
    assert contents(made, TAR) == area


def test_compressed_bytes_that_are_not_the_ztocs_are_refused_before_they_are_inflated() -> None:
    made = read(GOOD)
    start, end = made.index.chunks.blob[1:3].tolist()
    window = made.windows[int(made.index.chunks.window[1]) : int(made.index.chunks.window[2])]
    bad = bytearray(BLOB[start : end + 1])
    bad[len(bad) // 2] ^= 1
    with pytest.raises(CorruptError, match="another digest"):
        ChunkDecoder(made.index)(1, bytes(bad), window)


def test_a_ztoc_of_another_digest_or_layer_is_refused() -> None:
    data = GOOD.encode()
    with pytest.raises(CorruptError, match="its index says"):
        ztoc.convert(LAYER, digest_of(b""), data, DEFAULT)
    with pytest.raises(CorruptError, match="of a layer of"):
        ztoc.convert(replace(LAYER, size=LAYER.size + 1), digest_of(data), data, DEFAULT)


def sparse(files: list[dict[int, object]]) -> None:
    files[1][13] = [{0: b"GNU.sparse.major", 1: b"1"}]


def outside(files: list[dict[int, object]]) -> None:
    files[4][2] = ("q", 1 << 40)


def overlapping(files: list[dict[int, object]]) -> None:
    files[2][2] = files[1][2]


def negative(files: list[dict[int, object]]) -> None:
    files[1][3] = ("q", -5)


def unknown(files: list[dict[int, object]]) -> None:
    files[1][1] = b"socket"


@pytest.mark.parametrize("change", [sparse, outside, overlapping, negative, unknown])
def test_files_that_cannot_be_are_refused(change: object) -> None:
    with pytest.raises(CorruptError):
        encode(read(changed(GOOD, change)).index)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, digests=GOOD.digests[:-1]),
        replace(GOOD, digests=(*GOOD.digests[:-1], b"sha256:no")),
        replace(GOOD, checkpoints=GOOD.checkpoints[:-1]),
        replace(GOOD, checkpoints=b""),
        replace(GOOD, compression=3),
        replace(GOOD, uncompressed=1000),
        replace(GOOD, checkpoints=struct.pack("<iq", 2**31 - 1, 1) + GOOD.checkpoints[12:]),
    ],
)
def test_spans_that_cannot_be_are_refused(bad: Ztoc) -> None:
    with pytest.raises(CorruptError):
        encode(read(bad).index)


def test_many_offsets_to_one_string_are_refused() -> None:
    name = b"n" * 100_000
    data = bytearray(flat_buffer({0: [name] + [b""] * 50}))
    vector = data.index(struct.pack("<I", 51)) + 4
    target = vector + struct.unpack_from("<I", data, vector)[0]
    for row in range(51):
        struct.pack_into("<I", data, vector + 4 * row, target - (vector + 4 * row))
    with pytest.raises(CorruptError, match="more than it holds"):
        list(Buffer(bytes(data)).root().strings(0, 100))


SMALL_TAR = tar_of({"a": b"aa" * 50, "b": b"b"})
SMALL = ztoc_of(gzip.compress(SMALL_TAR, mtime=0), SMALL_TAR).encode()
TOUCHED = len(SMALL) - 33_000
"""What is in front of the windows; flipping bits of these changes no more than contents."""


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, TOUCHED), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_ztoc_is_an_index_or_a_corrupt_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for at, value in changes:
        data[at] = value
    layer = Layer(digest_of(b""), len(gzip.compress(SMALL_TAR, mtime=0)))
    with contextlib.suppress(CorruptError):
        encode(ztoc.convert(layer, digest_of(data), bytes(data), DEFAULT).index)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_flat_buffer_or_a_corrupt_error(data: bytes) -> None:
    with contextlib.suppress(CorruptError):
        ztoc.convert(Layer(digest_of(b""), 100), digest_of(data), data, DEFAULT)
