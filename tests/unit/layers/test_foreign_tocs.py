"""Tables of contents of eStargz and zstd:chunked: made by the specification, read, and damaged."""

import base64
import gzip
import json
import zlib
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootseer.digests import digest_of
from bootseer.errors import CorruptError
from snapshotter.layers.chunkread import ChunkDecoder
from snapshotter.layers.foreign import chunked, estargz
from snapshotter.layers.foreign.assembly import Layer
from snapshotter.layers.foreign.toc import parse_toc
from snapshotter.layers.format import decode, encode
from snapshotter.layers.records import LayerIndex
from snapshotter.limits import DEFAULT, Limits
from snapshotter.serving.audit import same
from tests.indexed_layer import indexed
from tests.toc_maker import CHUNK, Entries, header, make_chunked, make_estargz

FILES = {"a": b"a" * 10, "b/c": bytes(range(256)) * 30, "empty": b"", "b/d": b"", "e": b"e" * CHUNK}
WHOLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read_estargz(blob: bytes, table: bytes, limits: Limits = DEFAULT) -> LayerIndex:
    layer = Layer(digest_of(blob), len(blob))
    start = estargz.toc_offset(blob[-100:], len(blob))
    return estargz.convert(layer, digest_of(table), blob[start:], limits)


def read_chunked(blob: bytes, place: chunked.Place, limits: Limits = DEFAULT) -> LayerIndex:
    table = blob[place.offset : place.offset + place.size]
    return chunked.convert(Layer(digest_of(blob), len(blob)), place, table, limits)


def contents(index: LayerIndex, blob: bytes) -> bytes:
    """Read the data area, chunk by chunk."""
    decoder = ChunkDecoder(index)
    pieces = [
        decoder(number, blob[start:end], b"")
        for number, (start, end) in enumerate(pairwise(index.chunks.blob.tolist()))
    ]
    return b"".join(map(bytes, pieces))


file_sets = st.dictionaries(
    st.from_regex(r"[a-c](/[a-c]){0,2}\.[xyz]", fullmatch=True),
    st.integers(0, 3 * CHUNK).map(lambda size: bytes(i * 7 % 251 for i in range(size))),
    max_size=6,
)


@WHOLE
@given(file_sets)
def test_an_estargz_table_gives_the_tree_and_the_data_area_of_the_tar(
    files: dict[str, bytes],
) -> None:
    blob, table = make_estargz(files)
    index = read_estargz(blob, table)
    known, area = indexed(blob)
    assert same(index.tree, known.tree)
    assert contents(index, blob) == area
    assert same(decode(encode(index)), index)


@WHOLE
@given(file_sets)
def test_a_chunked_table_gives_the_tree_and_the_data_area_of_the_tar(
    files: dict[str, bytes],
) -> None:
    blob, place = make_chunked(files)
    index = read_chunked(blob, place)
    known, area = indexed(blob)
    assert same(index.tree, known.tree)
    assert contents(index, blob) == area
    assert same(decode(encode(index)), index)


def test_a_chunk_that_is_not_what_the_table_says_is_refused() -> None:
    blob, table = make_estargz(FILES)
    index = read_estargz(blob, table)
    at = int(index.chunks.blob[1])
    other = gzip.compress(b"A" * 10, mtime=0)
    with pytest.raises(CorruptError, match="another digest"):
        ChunkDecoder(index)(1, other + blob[at + len(other) :], b"")


def test_a_table_with_another_digest_is_refused() -> None:
    blob, table = make_estargz(FILES)
    with pytest.raises(CorruptError, match="the manifest says"):
        read_estargz(blob, table + b" ")
    blob, place = make_chunked(FILES)
    with pytest.raises(CorruptError, match="the manifest says"):
        read_chunked(blob, chunked.Place(digest_of(b""), place.offset, place.size))


def test_a_layer_without_a_footer_is_no_estargz() -> None:
    with pytest.raises(CorruptError, match="without eStargz' footer"):
        estargz.toc_offset(gzip.compress(b"x" * 1000), 1000)


def test_attributes_times_devices_and_links_are_read() -> None:
    entries = [
        {"name": "d", "type": "dir", "mode": 0o755, "modtime": "2023-11-14T22:13:20Z"},
        {"name": "d/c", "type": "char", "mode": 0o600, "devMajor": 1, "devMinor": 3},
        {"name": "l", "type": "symlink", "linkName": "d/c"},
        {
            "name": "x",
            "type": "reg",
            "modtime": "2023-11-15T00:13:20.000000007+02:00",
            "xattrs": {"user.a": base64.b64encode(b"\xff\0").decode()},
        },
    ]
    found = [
        one.member
        for one in parse_toc(json.dumps({"version": 1, "entries": entries}).encode(), DEFAULT)
    ]
    assert (found[0].mtime_s, found[0].mtime_ns) == (1_700_000_000, 0)
    assert found[1].rdev == 0x103
    assert found[2].linkname == b"d/c"
    assert (found[3].mtime_s, found[3].mtime_ns) == (1_700_000_000, 7)
    assert found[3].xattrs == ((b"user.a", b"\xff\0"),)


def test_what_a_whiteout_contains_is_passed_over() -> None:
    blob, table = make_estargz({"a": b"first" * 100, ".wh.b": b"content" * 300, "c": b"last"})
    index = read_estargz(blob, table)
    known, area = indexed(blob)
    assert same(index.tree, known.tree)
    assert contents(index, blob) == area


def test_chunks_of_zeros_are_holes() -> None:
    def zeros(entries: Entries) -> Entries:
        return [
            one | ({"chunkType": "zeros"} if one["name"] == "z" and one.get("chunkOffset") else {})
            for one in entries
        ]

    files = {"a": b"a" * 5, "z": b"z" * CHUNK + bytes(2 * CHUNK + 7), "last": b"end"}
    blob, place = make_chunked(files, zeros)
    index = read_chunked(blob, place)
    known, area = indexed(blob)
    assert contents(index, blob) == area
    assert same(index.tree, known.tree)
    assert int(index.extents.length.sum()) == 5 + CHUNK + 3


BAD = {
    "another version": {"version": 2, "entries": []},
    "no entries": {"version": 1},
    "a chunk of nothing": [{"name": "a", "type": "chunk"}],
    "an unknown type": [{"name": "a", "type": "socket"}],
    "a negative size": [{"name": "a", "type": "reg", "size": -1}],
    "no digest": [{"name": "a", "type": "reg", "size": 5, "offset": 3}],
    "a gap": [
        {"name": "a", "type": "reg", "size": 9, "chunkSize": 4, "digest": digest_of(b"")},
        {"name": "a", "type": "chunk", "chunkOffset": 5, "chunkDigest": digest_of(b"")},
    ],
    "too little": [
        {"name": "a", "type": "reg", "size": 9, "chunkSize": 4, "chunkDigest": digest_of(b"")}
    ],
    "lost bytes": [{"name": "a\ufffd", "type": "reg"}],
    "an odd time": [{"name": "a", "type": "reg", "modtime": "yesterday"}],
    "no base64": [{"name": "a", "type": "reg", "xattrs": {"user.a": "*"}}],
    "a large device": [{"name": "a", "type": "char", "devMajor": 1 << 40}],
    "an inner offset": [
        {"name": "a", "type": "reg", "size": 1, "innerOffset": 9, "chunkDigest": digest_of(b"")}
    ],
}


@pytest.mark.parametrize("what", BAD)
def test_a_malformed_table_is_refused(what: str) -> None:
    bad = BAD[what]
    document = {"version": 1, "entries": bad} if isinstance(bad, list) else bad
    with pytest.raises(CorruptError):
        list(parse_toc(json.dumps(document).encode(), DEFAULT))


def test_contents_out_of_order_are_refused() -> None:
    def backwards(entries: Entries) -> Entries:
        first, *others = entries
        return [*others, first]

    blob, table = make_estargz(FILES, backwards)
    with pytest.raises(CorruptError, match="follow contents"):
        read_estargz(blob, table)


def test_tables_are_limited() -> None:
    blob, table = make_estargz(FILES)
    with pytest.raises(CorruptError, match="are accepted"):
        read_estargz(blob, table, Limits(toc=len(table) - 1))
    blob, place = make_chunked(FILES)
    with pytest.raises(CorruptError, match="are accepted"):
        read_chunked(blob, place, Limits(toc=100))


def test_a_table_that_inflates_without_end_is_refused() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    end = (
        bomb.compress(header("stargz.index.json", 1 << 33))
        + bomb.compress(bytes(70 << 20))
        + bomb.flush()
    )
    with pytest.raises(CorruptError, match="larger than"):
        estargz.convert(Layer(digest_of(b""), 1 << 30), digest_of(b""), end, DEFAULT)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
NAMES = ["name", "type", "size", "mode", "uid", "offset", "chunkOffset", "chunkSize", "chunkDigest"]
NAMES += ["digest", "modtime", "linkName", "xattrs", "devMajor", "innerOffset", "chunkType"]
TYPES = ["reg", "dir", "symlink", "hardlink", "char", "block", "fifo", "chunk", "x"]
entries_of_any_kind = st.dictionaries(
    st.sampled_from(NAMES),
    values | st.integers(0, 3000) | st.just(digest_of(b"")) | st.sampled_from(["a", "a/b", "../c"]),
).flatmap(lambda one: st.sampled_from(TYPES).map(lambda kind: {"type": kind, **one}))


@WHOLE
@given(st.lists(entries_of_any_kind, max_size=5))
def test_any_table_is_an_index_or_a_corrupt_error(entries: Entries) -> None:
    for make, read in ((make_estargz, read_estargz), (make_chunked, read_chunked)):
        blob, table = make(FILES, lambda _: entries)
        try:
            index = read(blob, table)
            encode(index)
            contents(index, blob)
        except CorruptError:
            pass


@WHOLE
@given(st.data())
def test_a_damaged_end_of_an_estargz_layer_is_a_corrupt_error(data: st.DataObject) -> None:
    blob, table = make_estargz(FILES)
    start = estargz.toc_offset(blob[-100:], len(blob))
    end = bytearray(blob[start:])
    at = data.draw(st.integers(0, len(end) - estargz.FOOTER - 9))
    end[at] ^= data.draw(st.integers(1, 255))
    try:
        found = estargz.convert(
            Layer(digest_of(blob), len(blob)), digest_of(table), bytes(end), DEFAULT
        )
    except CorruptError:
        return
    assert same(found.extents, read_estargz(blob, table).extents)


def test_only_an_annotation_with_digest_and_place_counts() -> None:
    prefix = "io.github.containers.zstd-chunked."
    good = {
        f"{prefix}manifest-checksum": digest_of(b""),
        f"{prefix}manifest-position": "10:20:30:1",
    }
    assert chunked.find(good, 100) == chunked.Place(digest_of(b""), 10, 20)
    assert chunked.find(good, 29) is None
    for name, value in (("manifest-position", "10:20:30:2"), ("manifest-checksum", "sha256:0")):
        assert chunked.find(good | {f"{prefix}{name}": value}, 100) is None
    assert chunked.find({}, 100) is None
