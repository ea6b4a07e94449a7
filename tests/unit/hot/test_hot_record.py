"""Records: written and read back, and what is refused."""

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hot_strategies import LAYERS, layer, record, records, same
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import blocks_of
from snapshotter.hot.record_format import decode, encode
from snapshotter.limits import Limits

FRONT = struct.Struct("<8sIII32s")


def wrap(body: bytes, *, version: int = 1) -> bytes:
    """Return a file around a body, right in everything but the body."""
    stored = zstandard.ZstdCompressor().compress(body)
    front = FRONT.pack(
        b"BSEERHOT", version, len(stored), len(body), hashlib.sha256(stored).digest()
    )
    return front + stored


def body_of(file: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(file[FRONT.size :])


@given(records())
def test_a_record_reads_back_as_it_was(drawn):
    assert same(decode(encode(drawn)), drawn)


@given(records())
def test_equal_records_have_equal_files(drawn):
    assert encode(drawn) == encode(decode(encode(drawn)))


@given(records(), st.data())
def test_a_file_with_any_byte_changed_is_refused(drawn, data):
    file = bytearray(encode(drawn))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptError):
        decode(file)


@given(records(), st.data())
def test_a_truncated_file_is_refused(drawn, data):
    file = encode(drawn)
    with pytest.raises(CorruptError):
        decode(file[: data.draw(st.integers(0, len(file) - 1))])


@given(records(), st.data())
def test_a_wrong_body_with_a_right_digest_is_refused_or_valid(drawn, data):
    body = bytearray(body_of(encode(drawn)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(wrap(bytes(body)))
    except CorruptError:
        return
    assert same(decode(encode(found)), found)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_corrupt_error(data):
    for file in (data, wrap(data)):
        with pytest.raises(CorruptError):
            decode(file)


def test_a_newer_version_is_refused_by_name():
    file = wrap(body_of(encode(record([]))), version=2)
    with pytest.raises(CorruptError, match="version 2, this program reads version 1"):
        decode(file)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([(4, 0, 1)], "layer.0. is no layer"),
        ([(0, 0, 0)], "count.0. is 0"),
        ([(0, 0, 1), (0, 40, 1)], "first.1. is past the data area"),
        ([(0, 39, 2)], "first.0. is past the data area"),
        ([(1, 0, 1)], "first.0. is past the data area"),
        ([(2, 10, 5), (0, 1, 1), (2, 14, 1)], "first.2. is in another range"),
        ([(2, 10, 5), (2, 10, 5)], "is in another range"),
        ([(0, -1, 2)], "first.0. is negative"),
    ],
)
def test_ranges_that_cannot_be_are_refused(rows, what):
    with pytest.raises(CorruptError, match=what):
        encode(record(rows))


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"manifest_digest": "sha256:0"}, "manifest_digest"),
        ({"workload": "a\nb"}, "workload"),
        ({"kernel": "k" * 1025}, "kernel"),
        ({"workload": "\ud800"}, "workload"),
        ({"created": -1}, "created"),
        ({"length_ms": 1}, "outside the recording"),
        ({"time_ms": np.array([3, 2, 4])}, "goes back"),
        ({"time_ms": np.array([1, 2])}, "different length"),
        ({"layers": (*LAYERS, LAYERS[0])}, "layer twice"),
        ({"layers": (replace(LAYERS[0], index_digest="local"),)}, "named by digests"),
        ({"layers": (replace(LAYERS[0], data_size=5),)}, "data_size"),
        ({"layers": tuple(layer(n, 1) for n in range(513))}, "limit is 512"),
    ],
)
def test_fields_that_cannot_be_are_refused(fields, what):
    good = record([(0, 1, 1), (2, 2, 2), (2, 7, 3)])
    encode(good)
    with pytest.raises(CorruptError, match=what):
        encode(replace(good, **fields))


def test_a_billion_blocks_are_refused_without_being_counted_out():
    huge = layer(7, 2**31)
    file = encode(record([(0, 0, 2**31 - 1)], (huge,)), Limits(hot_blocks=2**31))
    with pytest.raises(CorruptError, match="more than 4194304 blocks"):
        decode(file)


def test_blocks_of_a_layer_come_in_first_touch_order():
    made = record([(2, 9, 2), (0, 3, 1), (2, 1, 1), (2, 5, 2)])
    assert blocks_of(made, LAYERS[2]).tolist() == [9, 10, 1, 5, 6]
    assert blocks_of(made, LAYERS[3]).tolist() == []


def test_a_record_of_another_index_knows_nothing_of_a_layer():
    assert blocks_of(record([(0, 3, 1)]), layer(1, 40, index=5)).tolist() == []


def test_a_record_with_another_size_of_the_data_area_is_refused():
    with pytest.raises(CorruptError, match="its index says 163840"):
        blocks_of(record([(0, 3, 1)], (layer(1, 50),)), layer(1, 40))


def test_a_start_of_30_000_blocks_takes_little_room():
    chance = np.random.default_rng(3)
    firsts = chance.permutation(10_000) * 8
    rows = [(int(first) % 2, int(first), 1 + int(first) % 5) for first in firsts]
    layers = (layer(1, 80_000), layer(2, 80_000))
    assert len(encode(record(rows, layers))) < 60_000


def test_ranges_of_no_rows_have_no_blocks():
    assert make_ranges([]).blocks == 0
