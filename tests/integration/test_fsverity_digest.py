"""Our Merkle root gives the digest that the fsverity program computes."""

import random
import subprocess

import pytest

from bootseer.merkle import MerkleTree, file_digest
from snapshotter.layers.records import BLOCK


@pytest.mark.containers
@pytest.mark.parametrize("blocks", [0, 1, 2, 127, 128, 129, 5000, 128 * 128, 128 * 128 + 1])
def test_file_digest_is_that_of_the_fsverity_program(tmp_path, blocks):
    data = random.Random(blocks).randbytes(blocks * BLOCK)
    file = tmp_path / "data"
    file.write_bytes(data)
    tree = MerkleTree()
    tree.add(data)
    command = ["fsverity", "digest", "--compact", "--hash-alg=sha256", "--block-size=4096", file]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert file_digest(tree.root(), tree.size).hex() == printed
