"""Proofs of blocks against the Merkle root of a data area."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from bootseer.merkle import MerkleTree
from snapshotter.hot.hashtree import (
    HASH,
    HashTree,
    ProofPlan,
    hash_blocks,
    tree_of,
    tree_of_area,
)
from snapshotter.layers.records import BLOCK

MOST = 1 << 30
SIZES = [1, 2, 127, 128, 129, 300, 128 * 128, 128 * 128 + 1, 20_000]


def leaves(count: int) -> bytes:
    return b"".join(hashlib.sha256(number.to_bytes(4)).digest() for number in range(count))


TREES: dict[int, HashTree] = {size: tree_of(leaves(size)) for size in SIZES}


@pytest.mark.parametrize("blocks", [0, 1, 2, 128, 129, 1100])
def test_the_root_is_that_of_the_index(blocks):
    data = np.random.default_rng(1).integers(0, 256, blocks * BLOCK, dtype=np.uint8).tobytes()
    merkle = MerkleTree()
    merkle.add(data)
    tree = tree_of_area(lambda offset, length: data[offset : offset + length], len(data))
    assert tree.root == merkle.root()
    assert tree.blocks == blocks
    if blocks:
        assert tree.levels[0].tobytes() == hash_blocks(data)


@st.composite
def chosen(draw):
    size = draw(st.sampled_from(SIZES))
    blocks = draw(st.lists(st.integers(0, size - 1), unique=True, max_size=30))
    return size, np.array(blocks, dtype=np.int64)


@given(chosen())
def test_a_proof_leads_to_the_root_and_holds_the_hashes_of_its_blocks(drawn):
    size, blocks = drawn
    plan = ProofPlan(size, blocks, MOST)
    proof = plan.build(TREES[size])
    assert len(proof) == plan.size
    proved = plan.verify(proof, TREES[size].root, "it")
    rows = [leaves(size)[block * HASH : (block + 1) * HASH] for block in blocks.tolist()]
    assert proved.of(blocks) == b"".join(rows)


@given(chosen(), st.data())
def test_a_proof_with_any_byte_changed_is_refused(drawn, data):
    size, blocks = drawn
    plan = ProofPlan(size, blocks, MOST)
    proof = bytearray(plan.build(TREES[size]))
    if not proof:
        return
    proof[data.draw(st.integers(0, len(proof) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptError, match="it: its hashes do not lead to the Merkle root"):
        plan.verify(proof, TREES[size].root, "it")


@pytest.mark.parametrize("size", SIZES)
def test_a_proof_of_everything_is_all_leaves_and_nothing_else(size):
    plan = ProofPlan(size, np.arange(size), MOST)
    assert plan.build(TREES[size]) == leaves(size)


def test_upper_levels_are_shared():
    size = 20_000
    one = ProofPlan(size, np.array([5]), MOST).size
    two = ProofPlan(size, np.array([5, 200]), MOST).size
    # 157 groups, 2 above them: one block needs its group, 127 siblings of that, and 1 more.
    assert one == HASH * (128 + 127 + 1)
    assert two == HASH * (2 * 128 + 126 + 1)


def test_a_proof_over_the_limit_is_refused_before_it_takes_memory():
    with pytest.raises(CorruptError, match="take more than 8192 bytes"):
        ProofPlan(2**31, np.arange(0, 384, 128), 8192)
