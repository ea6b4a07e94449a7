"""Which copy of a block is read."""

from fuse_hdfs.files.copies import copy_of
from fuse_hdfs.stores.store import Block

BLOCKS = (Block(0, 10, ("a", "b", "c")), Block(10, 10, ()), Block(20, 5, ("d",)))


def test_the_copies_of_a_block_are_read_in_turn() -> None:
    assert [copy_of(BLOCKS, 9, turn) for turn in range(4)] == ["a", "b", "c", "a"]
    assert copy_of(BLOCKS, 24, 7) == "d"


def test_where_nothing_is_known_the_store_chooses() -> None:
    assert copy_of(BLOCKS, 10, 0) is None
    assert copy_of((), 0, 0) is None
