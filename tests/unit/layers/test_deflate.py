"""Entering deflate streams at blocks, against libz itself."""

import ctypes
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from layerbytes import KINDS, content

from bootseer.errors import CorruptError
from snapshotter.layers import libz
from snapshotter.layers.deflate import (
    PIECE,
    BlockInflater,
    StreamInflater,
    entered,
    inflate_span,
)

ENGINES = (BlockInflater, StreamInflater)
STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE)


def deflate(data, level=6, strategy=0, memory=8, flush_every=0):
    engine = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
    step = flush_every or len(data) or 1
    parts = []
    for at in range(0, len(data), step):
        parts.append(engine.compress(data[at : at + step]))
        if flush_every:
            parts.append(engine.flush(zlib.Z_BLOCK if at % 2 else zlib.Z_SYNC_FLUSH))
    return b"".join(parts) + engine.flush()


streams = st.builds(
    lambda kinds, sizes, *options: (
        data := b"".join(content(k, s) for k, s in zip(kinds, sizes, strict=False)),
        deflate(data, *options),
    ),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.lists(st.integers(0, 50_000), min_size=4, max_size=4),
    st.sampled_from([0, 1, 6, 9]),
    st.sampled_from(STRATEGIES),
    st.sampled_from([1, 8, 9]),
    st.sampled_from([0, 0, 777, 10_000]),
)


def boundaries(compressed):
    """Every block boundary: byte offset, bits, window, bytes inflated so far."""
    inflater = BlockInflater()
    inflater.give(compressed, 0)
    length = 0
    while not inflater.ended:
        length += len(inflater.step(PIECE, to_block=True))
        if inflater.boundary:
            unused = inflater.unused_bits
            yield inflater.position - bool(unused), -unused % 8, inflater.window(), length


def inflate_with_libz(compressed, bits, window, length):
    """The way zlib's manual has it: inflatePrime, inflateSetDictionary."""
    library, stream = libz.load(), libz.new_stream()
    reference = ctypes.byref(stream)
    source, out = ctypes.create_string_buffer(compressed), ctypes.create_string_buffer(length)
    stream.next_in, stream.avail_in = ctypes.addressof(source), len(compressed)
    if bits:
        library.inflatePrime(reference, 8 - bits, compressed[0] >> bits)
        stream.next_in += 1
        stream.avail_in -= 1
    assert library.inflateSetDictionary(reference, window, len(window)) == libz.Z_OK
    stream.next_out, stream.avail_out = ctypes.addressof(out), length
    library.inflate(reference, libz.Z_NO_FLUSH)
    library.inflateEnd(reference)
    return out.raw


@given(streams)
def test_a_stream_can_be_entered_at_every_block(pair):
    data, compressed = pair
    for at, bits, window, length in list(boundaries(compressed))[:40]:
        assert window == data[max(0, length - 32768) : length]
        wanted = len(data) - length
        span, left = inflate_span(compressed[at:] + b"more", bits, window, wanted + 1)
        assert span == data[length:]
        assert left == 4
        if wanted:
            assert inflate_with_libz(compressed[at:], bits, window, wanted) == span


def test_blocks_start_at_every_bit_and_stored_ones_among_them_survive():
    data = b"".join(content("text", 3_000, i) + content("noise", 3_000, i) for i in range(60))
    compressed = deflate(data, memory=1)
    seen = set()
    for at, bits, window, length in boundaries(compressed):
        assert inflate_span(compressed[at:], bits, window, 20_000)[0] == data[length:][:20_000]
        seen.add(bits)
    assert seen == set(range(8))


@pytest.mark.parametrize("bits", range(1, 8))
def test_lead_in_says_nothing_to_libz_either(bits):
    last_fixed_block = (0b011 << bits).to_bytes(2, "little") + bytes(1)
    engine = zlib.decompressobj(-15)
    assert engine.decompress(bytes(entered(last_fixed_block, bits))) == b""
    assert engine.eof


def test_a_span_shorter_than_asked_for_is_returned_as_it_is():
    compressed = deflate(b"abc" * 1000)
    assert inflate_span(compressed[:-3], 0, b"", 4000)[0] != b""
    assert inflate_span(b"", 0, b"", 10) == (b"", -1)
    assert inflate_span(b"\x07", 0, b"", 0) == (b"", -1)


def test_reference_before_the_window_is_refused():
    engine = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=b"0123456789" * 9)
    compressed = engine.compress(b"0123456789" * 9) + engine.flush()
    with pytest.raises(CorruptError, match="deflate"):
        inflate_span(compressed, 0, b"89", 90)


@pytest.mark.parametrize("engine", ENGINES)
@given(pair=streams, piece=st.integers(1, 5_000), room=st.integers(1, PIECE), then=st.binary())
def test_inflaters_take_any_pieces_and_stop_at_the_end(engine, pair, piece, room, then):
    data, compressed = pair
    inflater = engine()
    for _ in range(2):
        found = inflate_stepwise(inflater, compressed + then, piece, room)
        assert found == (data, len(compressed))
        inflater.reset()


def inflate_stepwise(inflater, source, piece, room):
    """Return what came out and how many bytes of the source it took."""
    data, start = bytearray(), 0
    while not inflater.ended and start < len(source):
        part = source[start : start + piece]
        inflater.give(part, 0)
        while not inflater.ended:
            got = inflater.step(room)
            data += got
            if not got and inflater.position == len(part):
                break
        start += inflater.position
    return bytes(data), start


@pytest.mark.parametrize("engine", ENGINES)
@given(pair=streams, at=st.integers(0), flip=st.integers(1, 255))
@example(pair=(b"", b"\x07"), at=0, flip=1)
def test_damaged_streams_inflate_to_something_or_are_refused(engine, pair, at, flip):
    damaged = bytearray(pair[1])
    damaged[at % len(damaged)] ^= flip
    try:
        inflate_stepwise(engine(), bytes(damaged), 1000, 4096)
        inflate_span(bytes(damaged), at % 8, b"", 1 << 20)
    except CorruptError:
        pass


@given(st.binary(), st.integers(0, 7), st.binary(max_size=100))
def test_nonsense_inflates_to_something_or_is_refused(data, bits, window):
    try:
        span, _ = inflate_span(data, bits, window, 1000)
    except CorruptError:
        return
    assert len(span) <= 1000
