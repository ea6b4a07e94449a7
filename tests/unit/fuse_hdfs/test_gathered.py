"""Bytes that fill a unit: all of them, in order, in few pieces."""

from hypothesis import given
from hypothesis import strategies as st

from fuse_hdfs.files.gathered import Gathered
from fuse_hdfs.views import behind, size_of

LARGE = 128 << 10


@given(sizes=st.lists(st.sampled_from([0, 1, 100, LARGE - 1, LARGE, 2 * LARGE]), max_size=12))
def test_all_bytes_come_back_in_order_and_no_two_pieces_are_both_small(sizes: list[int]) -> None:
    writes = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    gathered = Gathered()
    for data in writes:
        gathered.add(data)
    assert len(gathered) == sum(sizes)
    pieces = gathered.take()
    assert b"".join(pieces) == b"".join(writes)
    assert size_of(pieces) == sum(sizes)
    assert all(pieces)
    assert len(pieces) <= 2 * sum(size >= LARGE for size in sizes) + 1
    assert (len(gathered), gathered.take()) == (0, ())


def test_a_large_piece_is_not_copied() -> None:
    data = bytes(LARGE)
    gathered = Gathered(b"before")
    gathered.add(data)
    assert gathered.take()[1] is data


@given(pieces=st.lists(st.binary(max_size=5), max_size=6), done=st.integers(0, 30))
def test_what_is_behind_is_what_was_not_done(pieces: list[bytes], done: int) -> None:
    left = behind([memoryview(piece) for piece in pieces], done)
    assert b"".join(left) == b"".join(pieces)[done:]
