"""Names, inode numbers and locks that a server which takes over must find again."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.blocks import lock
from snapshotter.blocks.names import LOCAL, ROOT_INODE, inode_of, name_at, name_of, parse_name
from snapshotter.blocks.takeover import Handover

digests = st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}")


@given(layer=digests, index=digests | st.just(LOCAL))
def test_a_name_gives_its_inode_and_back(layer: str, index: str) -> None:
    name = name_of(layer, index)
    assert parse_name(name) == name
    assert inode_of(name) > ROOT_INODE
    assert name_at(inode_of(name)) == name


@given(layer=digests, one=digests, other=digests)
def test_what_two_indexes_say_of_a_layer_has_two_names(layer: str, one: str, other: str) -> None:
    assert (name_of(layer, one) == name_of(layer, other)) == (one == other)


@given(inode=st.integers(min_value=-5, max_value=1 << 65))
def test_no_inode_number_crashes(inode: int) -> None:
    name = name_at(inode)
    assert name is None or inode_of(name) == inode


@given(text=st.text(max_size=80))
def test_what_is_no_digest_has_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="not a sha256 digest"):
        name_of(f"{text}?", LOCAL)


def test_a_handover_is_parsed() -> None:
    assert Handover.parse("5:4:live") == Handover(5, 4, fresh=False)
    assert Handover.parse("5:4:fresh").fresh


def test_a_lock_excludes_others_until_it_is_closed(tmp_path: Path) -> None:
    held = lock.take(tmp_path)
    assert not os.get_inheritable(held), "a server would keep it for a dead keeper"
    with pytest.raises(BlockingIOError):
        lock.take(tmp_path)
    os.close(held)
    os.close(lock.take(tmp_path))
