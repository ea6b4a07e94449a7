"""Walking zstd frames without decompressing them."""

import contextlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from layerbytes import KINDS, SKIPPABLE, content, cut, zstd_blocks

from bootseer.errors import CorruptError
from snapshotter.layers.zstd_frame import BLOCK_OUTPUT, GROUP, FrameWalker

frames = st.builds(
    lambda kind, size, level, known, checksum: zstandard.ZstdCompressor(
        level=level, write_content_size=known, write_checksum=checksum
    ).compress(content(kind, size)),
    st.sampled_from(KINDS),
    st.one_of(st.integers(0, 3_000), st.integers(100_000, 800_000)),
    st.sampled_from([1, 3, 12]),
    st.booleans(),
    st.booleans(),
)


def walk(stream, piece):
    walker = FrameWalker()
    portions = [portion for part in cut(stream, piece) for portion in walker.feed(part)]
    walker.finish()
    return portions


@given(st.lists(st.one_of(frames, st.just(SKIPPABLE)), max_size=4), st.integers(1, 100_000))
def test_portions_make_up_the_frames_and_say_where_they_are(parts, piece):
    stream = b"".join(parts)
    portions = walk(stream, piece)
    for portion in portions:
        assert stream[portion.start :].startswith(portion.data)
    starts = [portion.start for portion in portions if portion.first]
    ends = [portion.start + len(portion.data) for portion in portions if portion.last]
    where = [sum(map(len, parts[:i])) for i in range(len(parts) + 1)]
    data = [i for i, part in enumerate(parts) if part is not SKIPPABLE]
    assert starts == [where[i] for i in data]
    assert ends == [where[i + 1] for i in data]
    found = b"".join(portion.data for portion in portions)
    assert found == b"".join(parts[i] for i in data)


@given(frames)
def test_portions_decompress_to_a_bounded_size(frame):
    engine = zstandard.ZstdDecompressor().decompressobj()
    for portion in walk(frame, 1 << 20):
        assert len(engine.decompress(portion.data)) <= (GROUP + 1) * BLOCK_OUTPUT
    assert engine.eof


def test_a_few_bytes_that_repeat_for_ever_come_in_small_portions():
    bomb = zstd_blocks(kind=1, sizes=[BLOCK_OUTPUT] * 1000)
    engine = zstandard.ZstdDecompressor().decompressobj()
    sizes = [len(engine.decompress(portion.data)) for portion in walk(bomb, 1 << 20)]
    assert sum(sizes) == 1000 * BLOCK_OUTPUT
    assert max(sizes) <= (GROUP + 1) * BLOCK_OUTPUT


@given(frames, st.data())
def test_a_stream_that_stops_inside_a_frame_is_refused(frame, data):
    end = data.draw(st.integers(1, len(frame) - 1))
    with pytest.raises(CorruptError, match="inside"):
        walk(frame[:end], 1000)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"hello", "no zstd frame"),
        (b"\x28\xb5\x2f\xfd\x08", "reserved"),
        (zstd_blocks(kind=0, sizes=[BLOCK_OUTPUT + 1]), "not allowed"),
        (zstd_blocks(kind=3, sizes=[0]), "not allowed"),
    ],
)
def test_what_the_format_forbids_is_refused(stream, reason):
    with pytest.raises(CorruptError, match=reason):
        walk(stream, 1 << 20)


@given(frames, st.integers(0), st.integers(1, 255), st.integers(1, 1000))
def test_damaged_frames_are_walked_or_refused(frame, at, flip, piece):
    damaged = bytearray(frame)
    damaged[at % len(damaged)] ^= flip
    with contextlib.suppress(CorruptError):
        walk(bytes(damaged), piece)
