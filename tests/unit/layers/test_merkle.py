"""The Merkle tree: against the definition, and against what the fsverity program printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layerbytes import merkle_root_of

from bootseer.merkle import MerkleTree, file_digest
from snapshotter.layers.records import BLOCK

PARTS = st.lists(st.tuples(st.booleans(), st.integers(0, 300)), max_size=6)


@given(PARTS)
def test_tree_of_any_parts_and_holes_is_the_tree_of_their_concatenation(parts):
    tree, data = MerkleTree(), b""
    for zeros, blocks in parts:
        piece = bytes(BLOCK * blocks) if zeros else b"\1" * BLOCK * blocks
        data += piece
        (tree.add_zeros(len(piece)) if zeros else tree.add(piece))
    assert tree.root() == merkle_root_of(data)
    assert tree.size == len(data)


def test_holes_larger_than_memory_cost_nothing():
    one, halves = MerkleTree(), MerkleTree()
    one.add_zeros(1 << 42)
    halves.add_zeros((1 << 41) - BLOCK)
    halves.add(bytes(BLOCK))
    halves.add_zeros(1 << 41)
    assert one.root() == halves.root()


# Printed by `fsverity digest --compact` for files of so many blocks of b"bootseer" * 512.
PRINTED = {
    0: "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95",
    1: "65a67f784682cbfa0ba747637a418ebad9649dadb0e8f89995be097c0264d2a2",
    128: "25abfe1ef1b1ca5f605c8743f0dfaa86b5b191dc13801d3fa71e13aa81a8e100",
    129: "967926c79606e1ca318c3903fdf6a64f86c7608afc7dd9290c9c2d58fcff741a",
    128 * 128 + 1: "a70c5f51d5af92876808c020716f01eec9201e8267d0b053d2614a0a7e987473",
}


@pytest.mark.parametrize("blocks", PRINTED)
def test_file_digest_is_what_fsverity_prints(blocks):
    tree = MerkleTree()
    tree.add(b"bootseer" * 512 * blocks)
    assert file_digest(tree.root(), tree.size).hex() == PRINTED[blocks]
