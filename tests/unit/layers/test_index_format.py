"""The layer index file: round trips, and what damaged files do."""

import dataclasses
import hashlib
import mmap
import struct

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from snapshotter.erofs.build import build
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers import sections
from snapshotter.layers.format import decode, decode_map, encode
from snapshotter.layers.index_layout import Kind
from snapshotter.layers.index_writer import raw_sections
from snapshotter.layers.records import BLOCK, Codec, LayerIndex
from snapshotter.layers.validate import check_index, check_map
from snapshotter.limits import DEFAULT, Limits
from tests.layer_strategies import directory, indexes, make_index, make_tree, regular, symlink

slow = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def same(left: object, right: object) -> bool:
    """Compare records field by field, arrays by value and type."""
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    if dataclasses.is_dataclass(left):
        return all(
            same(getattr(left, field.name), getattr(right, field.name))
            for field in dataclasses.fields(left)
        )
    return left == right


@pytest.fixture(scope="module")
def index() -> LayerIndex:
    shared = regular(3 * BLOCK)
    root = directory(
        {
            b"a": shared,
            b"b": symlink(b"a"),
            b"d": directory({b"hard": shared, b"z": regular(10_000)}),
            b"x": regular(1, xattrs=((b"user.a", b"1"), (b"user.b", b"2"))),
        }
    )
    return make_index(make_tree(root), chunk=BLOCK)


@slow
@given(indexes())
def test_an_index_comes_back_as_it_was(index):
    assert same(decode(encode(index)), index)


@slow
@given(indexes())
def test_the_block_map_is_the_indexs_own_chunks_and_extents(index):
    blocks = decode_map(encode(index))
    for name in ("layer_digest", "layer_size", "merkle_root", "windows_digest", "data_size"):
        assert getattr(blocks, name) == getattr(index, name)
    assert same(blocks.extents, index.extents)
    assert same(blocks.chunks, index.chunks)


def test_the_block_map_does_not_look_at_the_tree(index):
    data = bytearray(encode(index))
    table = sections.read_table(memoryview(data), DEFAULT)
    data[table[Kind.NAMES].offset] ^= 1
    decode_map(bytes(data))
    with pytest.raises(CorruptError, match="section names"):
        decode(bytes(data))


def test_a_block_map_keeps_no_hold_on_a_memory_mapped_file(index, tmp_path):
    (tmp_path / "index").write_bytes(encode(index))
    with (tmp_path / "index").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        blocks = decode_map(memoryview(mapped))
        mapped.close()
    assert same(blocks.chunks, index.chunks)


def read_or_refuse(data: bytes) -> None:
    """Whatever is read must be valid, and what is valid can be mounted."""
    try:
        check_map(decode_map(data))
        index = decode(data)
    except CorruptError:
        return
    check_index(index)
    build(index.tree, index.data_size // BLOCK, Options(uuid_of(index.layer_digest)))


@slow
@given(indexes(), st.data())
def test_a_flipped_bit_is_refused_or_harmless(index, data):
    file = bytearray(encode(index))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= 1 << data.draw(st.integers(0, 7))
    read_or_refuse(bytes(file))


@slow
@given(indexes(), st.data())
def test_a_truncated_or_longer_file_is_refused(index, data):
    file = encode(index)
    cut = data.draw(st.integers(0, len(file) - 1))
    for damaged in (file[:cut], file + b"\0"):
        with pytest.raises(CorruptError):
            decode(damaged)
        with pytest.raises(CorruptError):
            decode_map(damaged)


@slow
@given(indexes(), st.data())
def test_wrong_columns_in_sections_with_right_digests_are_refused_or_valid(index, data):
    raw = raw_sections(index)
    kind = data.draw(st.sampled_from([kind for kind in raw if raw[kind]]))
    section = bytearray(raw[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        section[data.draw(st.integers(0, len(section) - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(sections.pack(raw | {kind: bytes(section)}))


@given(st.binary(max_size=400))
def test_noise_is_refused(noise):
    for file in (noise, struct.pack("<8sIIQ", sections.MAGIC, 1, 1, len(noise) + 24) + noise):
        with pytest.raises(CorruptError):
            decode(file)


@slow
@given(indexes(), st.data())
def test_noise_in_place_of_a_section_is_refused(index, data):
    raw = raw_sections(index)
    kind = data.draw(st.sampled_from([kind for kind in raw if raw[kind]]))
    size = len(raw[kind])
    noise = data.draw(
        st.binary(min_size=size, max_size=size) if size < 2000 else st.just(bytes(size))
    )
    read_or_refuse(sections.pack(raw | {kind: noise}))


def test_a_newer_version_is_refused_with_a_hint(index):
    file = bytearray(encode(index))
    file[8] = 3
    with pytest.raises(CorruptError, match=r"version 3.*update bootseer"):
        decode(bytes(file))


def test_a_section_of_unknown_kind_is_passed_over(index):
    file = sections.pack(raw_sections(index) | {999: b"from the future"})
    assert same(decode(file), index)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.PROOF])
def test_a_missing_section_is_named(index, kind):
    raw = raw_sections(index)
    del raw[kind]
    with pytest.raises(CorruptError, match=f"section {kind.name.lower()} is missing"):
        decode(sections.pack(raw))


def test_a_section_that_unpacks_to_more_than_it_says_is_refused_before_unpacking(index):
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30 >> 4))
    table_size = 24 + 64
    entry = struct.pack(
        "<HHIQQQ32s", Kind.META, 1, 0, table_size, len(bomb), 216, hashlib.sha256(bomb).digest()
    )
    head = struct.pack("<8sIIQ", sections.MAGIC, 1, 1, table_size + len(bomb))
    with pytest.raises(CorruptError, match="another size"):
        decode(head + entry + bomb)


@pytest.mark.parametrize("field", ["entries", "chunks", "index", "index_section"])
def test_limits_hold(index, field):
    with pytest.raises(CorruptError, match="limit"):
        decode(encode(index), Limits(**{field: 1}))


def test_an_invalid_index_is_not_written(index):
    with pytest.raises(CorruptError, match="layer_digest"):
        encode(dataclasses.replace(index, layer_digest="sha256:../../etc"))


def test_an_index_without_any_file_content():
    tree = make_tree(directory({b"d": directory({b"empty": regular()})}))
    for codec in Codec:
        index = make_index(tree, codec=codec)
        assert index.data_size == 0
        assert same(decode(encode(index)), index)


def test_a_file_of_27_000_entries_stays_below_12_bytes_an_entry():
    rng = np.random.default_rng(3)
    root = directory()
    for number in range(270):
        root.children[b"package-%d" % number] = directory(
            {
                b"module_%d.py" % row: regular(
                    int(rng.integers(0, 40_000)), mtime=(1_700_000_000 + number, 0)
                )
                for row in range(99)
            }
        )
    index = make_index(make_tree(root), chunk=4 << 20)
    assert len(encode(index)) < 12 * 27_000
