"""Packs: written, streamed, read at random, resumed, and what is refused."""

import hashlib
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hot_strategies import LAYERS, layer, record, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseer.errors import CorruptError, UsageError
from snapshotter.hot.hashtree import tree_of_area
from snapshotter.hot.merge import merge
from snapshotter.hot.pack import PackSettings, build_pack
from snapshotter.hot.pack_layout import HEAD, directory_digest, parse_directory, parse_head
from snapshotter.hot.record import Record, blocks_of
from snapshotter.hot.unpack import Expected, HotBlocks, OpenedPack, PackStream
from snapshotter.layers.records import BLOCK
from snapshotter.limits import Limits

SMALL = PackSettings(frame_blocks=4, level=1)


def area(number: int, blocks: int) -> bytes:
    """Return a data area whose blocks differ, every third one incompressible."""
    chance = Random(number)
    return b"".join(
        chance.randbytes(BLOCK) if n % 3 == 0 else chance.randbytes(4) * (BLOCK // 4)
        for n in range(blocks)
    )


AREAS = [area(number, one.blocks) for number, one in enumerate(LAYERS)]
TREES = {
    number: tree_of_area(lambda at, size, data=data: data[at : at + size], len(data))
    for number, data in enumerate(AREAS)
}
EXPECTED = {
    one.layer_digest: Expected(TREES[number].root, one.data_size)
    for number, one in enumerate(LAYERS)
}


def read(number: int, offset: int, length: int) -> bytes:
    return AREAS[number][offset : offset + length]


def packed(made: Record, settings: PackSettings = SMALL) -> bytes:
    return build_pack(made, read, TREES, settings)


def opened(pack: bytes, expected=EXPECTED) -> OpenedPack:
    head = parse_head(pack)
    directory = parse_directory(head, pack[HEAD.size : head.hashes_at])
    return OpenedPack(directory, pack[head.hashes_at : head.frames_at], expected)


def streamed(pack: bytes, step: int, expected=EXPECTED) -> list[HotBlocks]:
    stream, found = PackStream(expected), []
    for at in range(0, len(pack), step):
        stream.receive(pack[at : at + step])
        while (frame := stream.next_frame()) is not None:
            found += frame
    assert stream.done
    assert stream.resume_at == len(pack)
    return found


def check(found: list[HotBlocks], made: Record) -> None:
    """The parts are each layer's hot area, in order, with the right bytes."""
    for number, one in enumerate(LAYERS):
        parts = [part for part in found if part.layer_digest == one.layer_digest]
        blocks = [block for part in parts for block in part.blocks.tolist()]
        assert blocks == blocks_of(made, one).tolist()
        ends = np.cumsum([0, *(len(part.blocks) for part in parts)]).tolist()
        assert [part.position for part in parts] == ends[: len(parts)]
        content = b"".join(part.data for part in parts)
        assert content == b"".join(read(number, block * BLOCK, BLOCK) for block in blocks)


@given(rows(), st.integers(1, 9), st.sampled_from([1, 100, 4097, 1 << 20]))
@settings(max_examples=40)
def test_a_streamed_pack_gives_every_layers_hot_area(drawn, frame_blocks, step):
    made = record(drawn)
    pack = packed(made, PackSettings(frame_blocks, 1))
    step = max(step, len(pack) // 5000)
    check(streamed(pack, step), made)


@given(rows(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_frames_can_be_read_in_any_order(drawn, chance):
    made = record(drawn)
    pack = packed(made)
    reader = opened(pack)
    order = list(range(reader.frames))
    chance.shuffle(order)
    found = {}
    for frame in order:
        at, size = reader.place(frame)
        found[frame] = reader.unpack(frame, pack[at : at + size])
    check([part for frame in sorted(found) for part in found[frame]], made)


ROWS = [(0, 3, 5), (2, 200, 7), (0, 30, 3), (3, 0, 1), (2, 10, 9), (0, 0, 2)]


def test_a_broken_off_stream_resumes_at_the_frame_it_had_come_to():
    made = record(ROWS)
    pack = packed(made)
    for cut in range(0, len(pack), 997):
        first, found = PackStream(EXPECTED), []
        first.receive(pack[:cut])
        while (frame := first.next_frame()) is not None:
            found += frame
        if first.opened is None:
            continue
        again = PackStream.resume(first.opened, first.next_number)
        again.receive(pack[first.resume_at :])
        while (frame := again.next_frame()) is not None:
            found += frame
        assert again.done
        check(found, made)


def test_a_stream_may_be_of_some_frames_only():
    pack = packed(record(ROWS))
    reader = opened(pack)
    stream = PackStream.resume(reader, 2, 4)
    start, end = reader.place(2)[0], sum(reader.place(3))
    assert stream.resume_at == start
    stream.receive(pack[start:end])
    numbers = []
    while (stored := stream.next_stored()) is not None:
        numbers.append(stored[0])
        assert reader.unpack(*stored)
    assert numbers == [2, 3]
    assert stream.done


def test_a_merged_record_is_packed_like_any_other():
    merged = merge([record(ROWS, created=n) for n in range(3)])
    by_row = {merged.layers.index(one): number for number, one in enumerate(LAYERS)}
    pack = build_pack(
        merged,
        lambda row, at, size: read(by_row[row], at, size),
        {row: TREES[number] for row, number in by_row.items()},
        SMALL,
    )
    check(streamed(pack, 5000), merged)


def test_layers_without_hashes_are_left_out():
    made = record(ROWS)
    pack = build_pack(made, read, {2: TREES[2]}, SMALL)
    found = streamed(pack, 5000)
    assert {part.layer_digest for part in found} == {LAYERS[2].layer_digest}
    blocks = [block for part in found for block in part.blocks.tolist()]
    assert blocks == blocks_of(made, LAYERS[2]).tolist()


def test_layers_that_are_not_expected_or_not_so_are_passed_over():
    pack = packed(record(ROWS))
    for expected in (
        {LAYERS[2].layer_digest: EXPECTED[LAYERS[2].layer_digest]},
        EXPECTED | {LAYERS[0].layer_digest: Expected(bytes(32), LAYERS[0].data_size)},
    ):
        found = streamed(pack, 5000, expected)
        assert LAYERS[0].layer_digest not in {part.layer_digest for part in found}
        assert LAYERS[2].layer_digest in {part.layer_digest for part in found}
    assert not opened(pack, {}).is_wanted(0)
    assert opened(pack).is_wanted(0)


def test_a_record_without_touches_makes_a_pack_without_frames():
    pack = packed(record([]))
    assert streamed(pack, 1) == []


def test_equal_records_make_equal_packs():
    assert packed(record(ROWS)) == packed(record(ROWS))


@given(st.data())
@settings(max_examples=150)
def test_a_pack_with_any_byte_changed_is_refused_or_gives_the_same(data):
    made = record(ROWS)
    pack = bytearray(packed(made))
    at = data.draw(st.integers(0, len(pack) - 1) | st.integers(0, parse_head(pack).frames_at))
    pack[at] ^= data.draw(st.integers(1, 255))
    try:
        found = streamed(bytes(pack), 5000)
    except CorruptError:
        return
    # Only how a frame is compressed can differ without harm.
    assert at >= parse_head(pack).frames_at
    check(found, made)


def right(found: list[HotBlocks]) -> bool:
    """Say whether all blocks are what their layers really have there."""
    numbers = {one.layer_digest: number for number, one in enumerate(LAYERS)}
    return all(
        part.data
        == b"".join(
            read(numbers[part.layer_digest], n * BLOCK, BLOCK) for n in part.blocks.tolist()
        )
        for part in found
    )


@given(st.data())
@settings(max_examples=150)
def test_no_pack_smuggles_in_other_bytes_whatever_its_directory_says(data):
    pack = bytearray(packed(record(ROWS)))
    head = parse_head(pack)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(
            st.integers(12, HEAD.size - 33)
            | st.integers(HEAD.size, head.hashes_at - 1)
            | st.integers(head.hashes_at, len(pack) - 1)
        )
        pack[at] ^= data.draw(st.integers(1, 255))
    digest = hashlib.sha256(pack[: HEAD.size - 32] + pack[HEAD.size : head.hashes_at]).digest()
    pack[HEAD.size - 32 : HEAD.size] = digest
    stream, found = PackStream(EXPECTED), []
    stream.receive(pack)
    try:
        while (frame := stream.next_frame()) is not None:
            found += frame
    except CorruptError:
        pass
    assert right(found)


def test_a_pack_with_another_order_of_blocks_than_its_frames_is_refused():
    made, other = record([(2, 10, 4), (2, 50, 4)]), record([(2, 50, 4), (2, 10, 4)])
    pack, wrong = packed(made), packed(other)
    head, wrong_head = parse_head(pack), parse_head(wrong)
    assert (
        pack[head.hashes_at : head.frames_at] == wrong[wrong_head.hashes_at : wrong_head.frames_at]
    )
    mixed = replace(wrong_head, size=wrong_head.frames_at + len(pack) - head.frames_at)
    stored = wrong[HEAD.size : HEAD.size + wrong_head.stored]
    directory = stored + pack[HEAD.size + head.stored : head.hashes_at]
    mixed = replace(mixed, digest=directory_digest(mixed, directory))
    with pytest.raises(CorruptError, match="wrong block 50"):
        streamed(mixed.pack() + directory + pack[head.hashes_at :], 5000)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_corrupt_error(data):
    stream = PackStream(EXPECTED)
    stream.receive(data)
    try:
        assert stream.next_frame() is None
        assert len(data) < HEAD.size
    except CorruptError:
        pass


def test_bytes_behind_the_last_frame_are_refused():
    stream = PackStream(EXPECTED)
    stream.receive(packed(record(ROWS)) + b"x")
    with pytest.raises(CorruptError, match="followed by 1 bytes"):
        list(iter(stream.next_frame, None))


def test_other_bytes_under_a_right_directory_are_refused_by_block_and_layer():
    other = AREAS[2][: 11 * BLOCK] + bytes(BLOCK) + AREAS[2][12 * BLOCK :]
    with pytest.raises(CorruptError, match="blocks 10 to 13 do not have their hashes"):
        build_pack(
            record([(2, 10, 9)]),
            lambda _, at, size: other[at : at + size],
            TREES,
            SMALL,
        )
    pack = bytearray(packed(record([(2, 12, 1)]), SMALL))
    assert len(pack) - parse_head(pack).frames_at == BLOCK, "stored as it is"
    pack[-1] ^= 1
    with pytest.raises(CorruptError, match="wrong block 12 of layer sha256:00"):
        streamed(bytes(pack), 5000)


def test_a_newer_version_is_refused_by_name():
    pack = bytearray(packed(record(ROWS)))
    pack[8] = 2
    with pytest.raises(CorruptError, match="version 2, this program reads version 1"):
        streamed(bytes(pack), 5000)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(hot_blocks=5),
        Limits(hot_hashes=100),
        Limits(hot_frame=3 * BLOCK),
        Limits(hot_pack=1000),
        Limits(hot_record=10),
        Limits(layers=1),
    ],
)
def test_a_pack_over_a_limit_is_refused_by_its_head(limits):
    pack = packed(record(ROWS))
    with pytest.raises(CorruptError, match="head"):
        parse_head(pack, limits)


def test_hashes_of_another_layer_are_not_packed():
    with pytest.raises(CorruptError, match="hashes of 300 blocks"):
        build_pack(record(ROWS), read, {0: TREES[2]}, SMALL)


def test_a_layer_by_two_indexes_is_not_packed():
    twice = (LAYERS[0], replace(layer(1, 40), index_digest="sha256:" + "e" * 64))
    made = record([(0, 0, 1), (1, 1, 1)], twice)
    with pytest.raises(UsageError, match="one index only"):
        build_pack(made, read, {0: TREES[0], 1: TREES[0]}, SMALL)
