"""The manifest file: round trip, damage, and the first bytes alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from striping_strategies import UNIT, histories, segment

from bootseer.errors import CorruptError
from fuse_hdfs import limits
from fuse_hdfs.checksums import crc32c
from fuse_hdfs.striping.layout import Manifest, spliced
from fuse_hdfs.striping.manifest import FRONT, MAGIC, decode, encode, size_in_front


def test_the_checksum_is_that_of_rfc_3720():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(histories())
def test_what_was_encoded_is_decoded(history):
    manifest, _ = history
    data = encode(manifest)
    assert decode(data) == manifest
    assert size_in_front(data[:FRONT]) == manifest.size


@given(histories(), st.data())
def test_one_changed_byte_is_found_wherever_it_is(history, data):
    encoded = bytearray(encode(history[0]))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptError):
        decode(bytes(encoded))


@given(histories(), st.data())
def test_a_cut_off_manifest_is_refused(history, data):
    encoded = encode(history[0])
    with pytest.raises(CorruptError):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=300), st.integers(0, limits.SIZE), st.sampled_from([0, UNIT, 3]))
def test_any_body_with_good_checksums_is_a_manifest_or_refused(body, size, unit):
    front = MAGIC + (1).to_bytes(4, "little") + unit.to_bytes(4, "little")
    front += size.to_bytes(8, "little") + (FRONT + len(body)).to_bytes(8, "little")
    front += crc32c(body).to_bytes(4, "little")
    data = front + crc32c(front).to_bytes(4, "little") + body
    try:
        manifest = decode(data)
    except CorruptError:
        return
    assert encode(manifest) == data


@given(st.binary(max_size=100))
def test_the_front_of_an_ordinary_file_is_none(data):
    if not data.startswith(MAGIC):
        assert size_in_front(data) is None


def test_a_newer_version_is_refused_by_name():
    data = bytearray(encode(Manifest(UNIT, 0)))
    data[8] = 2
    for read in (decode, size_in_front):
        with pytest.raises(CorruptError, match="version 2"):
            read(bytes(data))


def test_a_manifest_that_makes_no_sense_is_not_written():
    manifest = spliced(Manifest(UNIT, 0), segment(3, 2), range(3), 3 * UNIT)
    with pytest.raises(CorruptError):
        encode(Manifest(UNIT, 4 * UNIT, manifest.segments, manifest.extents))
