"""Gzip headers and trailers."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from snapshotter.layers.gzip_member import check_trailer, header_length

TEXT = st.binary(max_size=40).map(lambda text: text.replace(b"\0", b"x"))


@st.composite
def headers(draw):
    """A header with any of the optional fields, as RFC 1952 orders them."""
    flags = draw(st.integers(0, 31))
    body = bytearray(b"\x1f\x8b\x08" + bytes([flags]) + draw(st.binary(min_size=6, max_size=6)))
    if flags & 4:
        extra = draw(st.binary(max_size=300))
        body += len(extra).to_bytes(2, "little") + extra
    for flag in (8, 16):
        if flags & flag:
            body += draw(TEXT) + b"\0"
    if flags & 2:
        body += (zlib.crc32(body) & 0xFFFF).to_bytes(2, "little")
    return bytes(body)


@given(headers(), st.binary(max_size=20), st.binary(max_size=20))
def test_header_is_measured_wherever_it_stands(header, before, after):
    assert header_length(before + header + after, len(before)) == len(header)


@given(headers())
def test_every_beginning_of_a_header_is_incomplete(header):
    for end in range(len(header)):
        assert header_length(header[:end]) is None


@given(st.one_of(st.binary(), st.binary().map(lambda data: b"\x1f\x8b\x08" + data)))
def test_anything_is_a_header_or_incomplete_or_refused(data):
    try:
        length = header_length(data)
    except CorruptError:
        return
    assert length is None or 10 <= length <= len(data)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\x1f\x8b\x07" + bytes(7), "no gzip member"),
        (b"PK", "no gzip member"),
        (b"\x1f\x8b\x08\x20" + bytes(6), "reserved"),
        (b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 512, "longer"),
        (b"\x1f\x8b\x08\x02" + bytes(6) + b"\1\2", "check sum"),
    ],
)
def test_what_go_or_the_rfc_refuses_is_refused(header, reason):
    with pytest.raises(CorruptError, match=reason):
        header_length(header)


def test_trailer_must_have_crc_and_length_modulo_4_gib():
    length = (1 << 32) + 7
    trailer = (99).to_bytes(4, "little") + (7).to_bytes(4, "little")
    check_trailer(trailer, 99, length)
    with pytest.raises(CorruptError, match="CRC-32"):
        check_trailer(trailer, 98, length)
    with pytest.raises(CorruptError, match="bytes"):
        check_trailer(trailer, 99, 8)
