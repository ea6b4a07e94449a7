"""Cutting a zstd layer anew into small frames, and knowing which layers need it."""

import contextlib
import random
from dataclasses import replace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from layerbytes import KINDS, SKIPPABLE, content, cut, zstd_blocks

from bootseer.digests import digest_of
from bootseer.errors import CorruptError
from snapshotter.layers.coarse import COARSE, has_coarse_chunks, is_coarse
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.layers.reframe import FRAME, Reframed, Reframer
from snapshotter.layers.zstd_frame import BLOCK_OUTPUT, FrameWalker
from snapshotter.layers.zstd_stream import ZstdStream
from snapshotter.limits import DEFAULT, Limits
from tests.image_maker import tar_of

contents = st.builds(
    content,
    st.sampled_from(KINDS),
    st.one_of(
        st.integers(0, 3_000),
        st.integers(200_000, 900_000),
        st.sampled_from([FRAME - 1, FRAME, FRAME + 1, 2 * FRAME]),
    ),
    st.integers(0, 9),
)


def reframe(
    blob: bytes, piece: int = 1 << 20, level: int = 3, limits: Limits = DEFAULT
) -> tuple[Reframed, list[bytes]]:
    frames: list[bytes] = []
    reframer = Reframer(frames.append, level=level, limits=limits)
    for part in cut(blob, piece):
        reframer.feed(part)
    return reframer.finish(), frames


@given(st.lists(contents, min_size=1, max_size=3), st.integers(1, 200_000))
def test_the_contents_stay_and_every_frame_is_read_alone(parts, piece):
    blob = b"".join(zstandard.compress(part) for part in parts)
    whole = b"".join(parts)
    done, frames = reframe(blob, piece)
    alone = [zstandard.ZstdDecompressor().decompress(frame) for frame in frames]
    assert b"".join(alone) == whole
    assert [len(data) for data in alone[:-1]] == [FRAME] * (len(alone) - 1)
    assert len(alone[-1]) <= FRAME
    made = b"".join(frames)
    assert done == Reframed(
        digest_of(blob), len(blob), digest_of(whole), digest_of(made), len(made), len(frames)
    )


@settings(max_examples=25)
@given(contents, st.integers(1, 200_000), st.integers(1, 200_000))
def test_the_result_depends_on_the_contents_only(data, one, other):
    halves = [data[: len(data) // 2], data[len(data) // 2 :]]
    frames = b"".join(zstandard.compress(half, level=1) for half in halves)
    once, _ = reframe(zstandard.compress(data, level=5), one)
    again, _ = reframe(SKIPPABLE + frames, other)
    assert (once.digest, once.diff_id) == (again.digest, again.diff_id)


@given(contents, st.data())
def test_what_ends_in_the_middle_of_a_frame_is_refused(data, draw):
    blob = zstandard.compress(data)
    with pytest.raises(CorruptError, match="inside"):
        reframe(blob[: draw.draw(st.integers(1, len(blob) - 1))])


@given(contents, st.integers(0), st.integers(1, 255), st.integers(1, 200_000))
def test_what_is_damaged_is_refused_or_has_another_digest(data, at, flip, piece):
    blob = zstandard.compress(data)
    damaged = bytearray(blob)
    damaged[at % len(damaged)] ^= flip
    with contextlib.suppress(CorruptError):
        assert reframe(bytes(damaged), piece)[0].source_digest != digest_of(blob)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (replace(DEFAULT, layer=1000), "more than 1000"),
        (replace(DEFAULT, layer_tar=600_000), "more than 600000"),
        (replace(DEFAULT, zstd_window=1 << 15), "damaged"),
    ],
)
def test_what_exceeds_a_limit_is_refused(limits, reason):
    blob = zstandard.compress(content("mixed", 700_000))
    with pytest.raises(CorruptError, match=reason):
        reframe(blob, limits=limits)


def test_a_few_bytes_that_stand_for_gigabytes_are_refused_before_they_are_written():
    bomb = zstd_blocks(kind=1, sizes=[BLOCK_OUTPUT] * 80_000)
    with pytest.raises(CorruptError, match="more than"):
        reframe(bomb, limits=replace(DEFAULT, layer_tar=1 << 20))


def test_what_writing_raises_is_raised():
    def write(frame: bytes) -> None:
        raise OSError(28, "No space left on device")

    reframer = Reframer(write)
    reframer.feed(zstandard.compress(b"a frame"))
    with pytest.raises(OSError, match="No space"):
        reframer.finish()


def index(blob: bytes) -> IndexedLayer:
    indexer = LayerIndexer()
    indexer.feed(blob)
    return indexer.finish()


def test_a_layer_cut_anew_is_read_at_random_in_chunks_of_a_frame():
    tar = tar_of({"a": random.Random(1).randbytes(5 << 20), "b": b"b"})
    coarse = index(zstandard.compress(tar))
    assert coarse.coarse
    assert has_coarse_chunks(coarse.index.chunks)
    _, frames = reframe(zstandard.compress(tar))
    fine = index(b"".join(frames))
    assert not fine.coarse
    assert not has_coarse_chunks(fine.index.chunks)
    assert fine.random_access
    assert len(fine.index.chunks.codec) == len(frames)
    assert fine.index.diff_id == coarse.index.diff_id


def test_a_layer_is_coarse_from_the_first_frame_on_that_is_larger_than_it_may_be():
    small, large = (zstandard.compress(bytes(size)) for size in (COARSE, COARSE + 1))
    stream = ZstdStream(FRAME, DEFAULT)
    for blob, expected in ((small, False), (small, False), (large, True), (small, True)):
        for _ in stream.feed(blob):
            pass
        assert is_coarse(stream) is expected


def test_frames_have_no_more_than_they_need():
    _, frames = reframe(zstandard.compress(content("noise", 3 * FRAME + 7)))
    walker = FrameWalker()
    starts = [portion.start for portion in walker.feed(b"".join(frames)) if portion.first]
    assert starts == [sum(map(len, frames[:number])) for number in range(len(frames))]
