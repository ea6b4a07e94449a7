"""Sparse windows: less bytes, same result."""

import contextlib
import os

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from layerbytes import content
from test_deflate import boundaries, deflate, streams

from bootseer.errors import CorruptError
from snapshotter.layers.deflate import WINDOW, inflate_span
from snapshotter.layers.windows import LOOKAHEAD, pack, referenced, sparse, unpack


@given(streams)
def test_a_sparse_window_inflates_to_the_same_as_the_whole_one(pair):
    data, compressed = pair
    for at, bits, window, length in list(boundaries(compressed))[:40]:
        kept = sparse(window, compressed[at : at + LOOKAHEAD], bits)
        assert len(kept) <= len(window)
        wanted = len(data) - length
        assert inflate_span(compressed[at:], bits, kept, wanted)[0] == data[length:]


@given(streams)
def test_every_byte_kept_is_needed(pair):
    """Change a byte that is said to be used: the span inflates to something else."""
    data, compressed = pair
    for at, bits, window, length in list(boundaries(compressed))[:5]:
        span = compressed[at : at + LOOKAHEAD]
        used = referenced(span, bits, len(window))
        if used is None:
            continue
        for place in used.nonzero()[0][:10]:
            other = bytearray(window)
            other[place] ^= 1
            changed, _ = inflate_span(span, bits, bytes(other), WINDOW)
            assert changed != data[length : length + len(changed)]


def test_text_needs_a_small_part_of_its_window():
    compressed = deflate(content("text", 400_000), memory=4)
    at, bits, window, _ = list(boundaries(compressed))[2]
    kept = sparse(window, compressed[at : at + LOOKAHEAD], bits)
    assert 0 < len(kept) - kept.count(0) < len(window) // 2
    assert len(pack(kept)) < len(pack(window))


def test_a_span_that_refers_to_nothing_has_no_window():
    compressed = deflate(content("noise", 200_000))
    at, bits, window, _ = list(boundaries(compressed))[1]
    assert sparse(window, compressed[at : at + LOOKAHEAD], bits) == b""
    assert pack(b"") == b""
    assert unpack(b"") == b""


def test_where_the_lookahead_is_too_short_the_window_stays_whole():
    compressed = deflate(content("text", 400_000), memory=4)
    at, bits, window, _ = list(boundaries(compressed))[2]
    assert sparse(window, compressed[at : at + 100], bits) == window


@given(st.binary(max_size=2 * WINDOW))
def test_windows_come_out_as_they_went_in_unless_too_large(window):
    if len(window) <= WINDOW:
        assert unpack(pack(window)) == window


def test_a_window_larger_than_32_kib_is_refused():
    with pytest.raises(CorruptError, match="32769"):
        unpack(pack(bytes(WINDOW + 1)))


def test_a_frame_that_hides_its_size_is_refused():
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(os.urandom(100))
    with pytest.raises(CorruptError, match="window"):
        unpack(hidden)


@given(st.binary(), st.binary(min_size=1, max_size=100), st.integers(0), st.integers(1, 255))
def test_damaged_windows_unpack_to_something_or_are_refused(nonsense, window, at, flip):
    damaged = bytearray(pack(window))
    damaged[at % len(damaged)] ^= flip
    for frame in (nonsense, bytes(damaged), bytes(damaged[:-1])):
        with contextlib.suppress(CorruptError):
            assert len(unpack(frame)) <= WINDOW
