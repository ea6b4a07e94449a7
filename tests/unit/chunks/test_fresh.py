import random

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.chunks.fresh import Fresh, Shelf


def _bytes(start: int, end: int) -> bytes:
    return bytes(at * 7 % 251 for at in range(start, end))


def _put(shelf: Shelf, start: int, end: int) -> None:
    shelf.put(start, memoryview(_bytes(start, end)))


def test_bytes_are_given_back_across_pieces_if_all_are_here() -> None:
    shelf = Shelf(Fresh())
    _put(shelf, 100, 200)
    _put(shelf, 200, 250)
    _put(shelf, 300, 400)
    assert shelf.get(150, 90) == _bytes(150, 240)
    assert shelf.get(100, 150) == _bytes(100, 250)
    for offset, length in ((99, 5), (240, 20), (240, 80), (250, 1), (400, 1), (0, 1000)):
        assert shelf.get(offset, length) is None


def test_the_oldest_of_all_layers_make_room() -> None:
    fresh = Fresh(100)
    one, other = Shelf(fresh), Shelf(fresh)
    _put(one, 0, 50)
    _put(other, 0, 40)
    _put(other, 40, 80)
    assert one.get(0, 50) is None
    assert other.get(0, 80) == _bytes(0, 80)
    assert fresh.bytes == 80


def test_a_piece_larger_than_all_room_is_not_kept() -> None:
    fresh = Fresh(100)
    shelf = Shelf(fresh)
    _put(shelf, 0, 101)
    assert shelf.get(0, 1) is None
    assert fresh.bytes == 0
    _put(shelf, 0, 50)
    assert shelf.get(0, 50) == _bytes(0, 50)


def test_what_is_put_once_more_counts_once() -> None:
    fresh = Fresh(100)
    shelf = Shelf(fresh)
    for _ in range(5):
        _put(shelf, 0, 60)
    assert fresh.bytes == 60
    _put(shelf, 0, 30)
    assert fresh.bytes == 30
    assert shelf.get(0, 60) is None


def test_a_layer_that_is_closed_and_a_lull_leave_nothing() -> None:
    fresh = Fresh()
    one, other = Shelf(fresh), Shelf(fresh)
    _put(one, 0, 10)
    _put(other, 0, 10)
    one.clear()
    assert fresh.bytes == 10
    fresh.clear()
    assert fresh.bytes == 0
    assert other.get(0, 1) is None


@given(st.integers(0, 2**32), st.integers(0, 400))
def test_whatever_was_put_no_answer_is_wrong_nor_longer_than_room(seed: int, most: int) -> None:
    """Pieces overlap as they do where a part of a batch was evicted and fetched alone."""
    dice = random.Random(seed)
    fresh = Fresh(most)
    shelves = [Shelf(fresh), Shelf(fresh)]
    for _ in range(40):
        start = dice.randrange(300)
        _put(dice.choice(shelves), start, start + dice.randrange(1, 120))
        assert fresh.bytes <= most
        offset, length = dice.randrange(400), dice.randrange(1, 150)
        for shelf in shelves:
            assert shelf.get(offset, length) in (None, _bytes(offset, offset + length))
