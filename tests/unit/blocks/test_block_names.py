"""Names, inode numbers and locks that a server which takes over must find again."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.blocks import lock
from snapshotter.blocks.names import (
    LOCAL,
    MOST_NUMBER,
    NATURAL,
    ROOT_INODE,
    BlockName,
    LayerName,
    Role,
    Variant,
    name_of,
    parse_name,
)
from snapshotter.blocks.takeover import Handover

digests = st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}")


variants = st.just(NATURAL) | st.builds(
    Variant, st.sampled_from([Role.HOT, Role.RECORD]), st.integers(1, MOST_NUMBER)
)


@given(layer=digests, index=digests | st.just(LOCAL), variant=variants)
def test_a_name_gives_its_inode_and_back(layer: str, index: str, variant: Variant) -> None:
    name = BlockName(name_of(layer, index), variant)
    assert parse_name(name.layer) == name.layer
    assert ROOT_INODE < name.inode < 1 << 63
    assert BlockName.at(name.inode) == name
    assert BlockName.parse(str(name)) == name


@given(text=st.text("0123456789abcdefhr", max_size=20))
def test_what_is_no_block_file_has_no_name(text: str) -> None:
    name = BlockName.parse(text)
    assert name is None or str(name) == text


@given(layer=digests, one=digests, other=digests)
def test_what_two_indexes_say_of_a_layer_has_two_names(layer: str, one: str, other: str) -> None:
    assert (name_of(layer, one) == name_of(layer, other)) == (one == other)


@given(inode=st.integers(min_value=-5, max_value=1 << 65))
def test_no_inode_number_crashes(inode: int) -> None:
    name = BlockName.at(inode)
    assert name is None or name.inode == inode


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


def test_the_last_of_all_inode_numbers_leaves_bit_63_to_handles() -> None:
    last = BlockName(LayerName("f" * 12), Variant(Role.RECORD, MOST_NUMBER))
    assert last.inode < 1 << 63
    assert BlockName.at(last.inode) == last
