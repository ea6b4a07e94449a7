"""Blocks to files, against a walk over every file."""

import stat

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.hot.owners import NOBODY, Paths, file_map, owners
from snapshotter.layers.records import BLOCK
from snapshotter.limits import Limits
from tests.layer_strategies import (
    data_size,
    directory,
    make_tree,
    numbers_of,
    regular,
    roots,
    trees,
    walk,
)

BIG = 64


def tree_of(files: list[tuple[int, int]]):
    """Return a tree of files, each with its first block and its size, wherever those lie."""
    root = directory({f"f{number:03}".encode(): regular(1) for number in range(len(files))})
    tree = make_tree(root)
    for inode, (first, size) in enumerate(files, 1):
        tree.inodes.data[inode] = first * BLOCK
        tree.inodes.size[inode] = size
    return tree


@given(trees())
def test_every_block_belongs_to_the_file_that_lies_there(tree):
    blocks = np.arange(data_size(tree) // BLOCK + 2)
    found = owners(file_map(tree.inodes), blocks)
    expected = np.full(len(blocks), NOBODY)
    for inode, mode in enumerate(tree.inodes.mode.tolist()):
        if stat.S_ISREG(mode):
            first, size = int(tree.inodes.data[inode]) // BLOCK, int(tree.inodes.size[inode])
            expected[first : first - (-size // BLOCK)] = inode
    assert found.tolist() == expected.tolist()


@given(st.lists(st.tuples(st.integers(0, BIG), st.integers(1, BIG * BLOCK)), max_size=6))
def test_a_block_of_several_files_belongs_to_one_of_them(files):
    tree = tree_of(files)
    blocks = np.arange(3 * BIG)
    for block, inode in zip(
        blocks.tolist(), owners(file_map(tree.inodes), blocks).tolist(), strict=True
    ):
        holders = {
            number
            for number, (first, size) in enumerate(files, 1)
            if first <= block < first - (-size // BLOCK)
        }
        assert inode in (holders or {NOBODY})


@given(roots())
def test_a_path_leads_to_its_inode(root):
    numbers = numbers_of(root)
    paths = Paths(make_tree(root))
    named = {}
    for path, node in walk(root):
        named.setdefault(numbers[id(node)], set()).add(path.removeprefix(b"/"))
    assert all(paths.of(inode) in known for inode, known in named.items())


def test_a_hard_link_has_the_name_that_comes_first():
    shared = regular(5)
    tree = make_tree(directory({b"a": directory({b"deep": shared}), b"z": shared}))
    assert [Paths(tree).of(inode) for inode in (1, 2)] == [b"a", b"z"]


def test_the_front_of_a_path_that_is_too_long_is_cut_off():
    tree = make_tree(
        directory({b"a" * 50: directory({b"b" * 20: directory({b"file": regular(1)})})})
    )
    assert Paths(tree, Limits(path=30)).of(3) == b".../" + b"b" * 20 + b"/file"
