"""The hot layout: the metadata of files whose blocks lie in two devices."""

import stat

import numpy as np
import pytest
from erofs_reader import Image
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from snapshotter.erofs import hot as hot_module
from snapshotter.erofs.build import build
from snapshotter.erofs.hot import HotLayout
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.records import BLOCK
from tests.layer_strategies import (
    Node,
    data_size,
    directory,
    make_tree,
    numbers_of,
    regular,
    roots,
    symlink,
)

OPTIONS = Options(uuid_of("sha256:0"))


def layout(*blocks: int) -> HotLayout:
    return HotLayout(np.array(blocks, dtype=np.int64))


def written(root: Node, hot: HotLayout | None) -> Image:
    tree = make_tree(root)
    return Image(bytes(build(tree, data_size(tree) // BLOCK, OPTIONS, hot)))


def files_of(image: Image, root: Node) -> list[tuple[Node, list[tuple[int, int]]]]:
    """Every regular file with where its blocks lie."""
    found, queue = [], [(image.root_nid, root)]
    while queue:
        nid, node = queue.pop()
        inode = image.inode(nid)
        if stat.S_ISREG(node.mode):
            assert inode.size == node.size
            assert inode.xattrs == dict(node.xattrs)
            found.append((node, image.extents(inode)))
        elif stat.S_ISDIR(node.mode):
            entries = {name: nid for name, nid, _ in image.entries(inode)}
            queue += [(entries[name], child) for name, child in node.children.items()]
    return found


@st.composite
def hot_trees(draw):
    root = draw(roots())
    blocks = data_size(make_tree(root)) // BLOCK
    numbers = draw(st.lists(st.integers(0, blocks - 1), unique=True)) if blocks else []
    return root, numbers


@given(hot_trees())
def test_every_block_of_every_file_is_where_the_layout_says(drawn):
    root, blocks = drawn
    image = written(root, layout(*blocks))
    tree, numbers = make_tree(root), numbers_of(root)
    assert [size for size, _ in image.devices] == [
        n for n in (data_size(tree) // BLOCK, len(blocks)) if n
    ]
    for node, extents in files_of(image, root):
        first = int(tree.inodes.data[numbers[id(node)]]) // BLOCK
        natural = range(first, first + -(-node.size // BLOCK))
        assert extents == [
            (2, blocks.index(block)) if block in blocks else (1, block) for block in natural
        ]


@given(roots())
def test_without_hot_blocks_nothing_changes(root):
    assert written(root, layout()).image == written(root, None).image


def test_only_files_with_hot_blocks_have_a_chunk_table():
    root = directory({b"cold": regular(5 * BLOCK), b"hot": regular(5 * BLOCK)})
    image = written(root, layout(7, 5))
    by_size = {tuple(extents) for _, extents in files_of(image, root)}
    assert by_size == {
        tuple((1, block) for block in range(5)),
        ((2, 1), (1, 6), (2, 0), (1, 8), (1, 9)),
    }
    assert image.incompat == 8 | 4
    kinds = {
        nid: image.inode(nid).layout for _, nid, _ in image.entries(image.inode(image.root_nid))
    }
    assert sorted(kinds.values()) == [0, 2, 4]


def test_the_devices_follow_each_other_in_the_unified_address_space():
    image = written(directory({b"f": regular(3 * BLOCK)}), layout(2))
    assert image.devices == [(3, image.blocks), (1, image.blocks + 3)]


def test_the_last_block_of_a_file_may_be_partial_and_hot():
    root = directory({b"f": regular(2 * BLOCK + 1), b"g": regular(1)})
    image = written(root, layout(3, 2))
    assert sorted(extents for _, extents in files_of(image, root)) == [
        [(1, 0), (1, 1), (2, 1)],
        [(2, 0)],
    ]


def test_a_chunk_table_larger_than_a_block_leaves_its_neighbours_alone():
    root = directory(
        {
            b"a": symlink(b"t" * 100),
            b"b": regular(3000 * BLOCK, xattrs=((b"user.odd", b"v"),)),
            b"c": regular(BLOCK),
            b"d": directory({b"e": regular(1)}),
        }
    )
    extents = {len(found): found for _, found in files_of(written(root, layout(2999, 17)), root)}
    assert extents[3000][2999] == (2, 0)
    assert extents[3000][17] == (2, 1)
    assert extents[3000][2998] == (1, 2998)


def test_a_hot_block_between_two_files_is_kept_in_the_hot_area_and_used_by_none():
    tree = make_tree(directory({b"f": regular(BLOCK)}))
    image = Image(bytes(build(tree, 3, OPTIONS, layout(2, 0))))
    assert image.devices[1][0] == 2
    ((_, extents),) = files_of(image, directory({b"f": regular(BLOCK)}))
    assert extents == [(2, 1)]


@pytest.mark.parametrize("blocks", [(3,), (0, -1), (0, 1 << 40)])
def test_a_hot_block_outside_the_data_area_is_refused(blocks):
    with pytest.raises(CorruptError, match="of a data area of 3 blocks"):
        written(directory({b"f": regular(3 * BLOCK)}), layout(*blocks))


def test_a_block_that_is_hot_twice_is_refused():
    with pytest.raises(CorruptError, match="block 1 is hot twice"):
        written(directory({b"f": regular(3 * BLOCK)}), layout(1, 0, 1))


def test_a_huge_file_with_few_hot_blocks_stays_as_it_is():
    root = directory({b"few": regular(1 << 30), b"many": regular((1 << 30) + 1)})
    blocks = 1 << 18
    hot = [0, 5, *range(blocks + 1, 2 * blocks, 300)]
    few, many = sorted(files_of(written(root, layout(*hot)), root), key=lambda row: row[0].size)
    assert few[1] == [(1, block) for block in range(blocks)]
    assert many[1][1] == (2, 2)
    assert many[1][301] == (2, 3)
    assert many[1][0] == (1, blocks)


def test_tables_stay_within_their_limit_and_the_best_files_get_theirs(monkeypatch):
    monkeypatch.setattr(hot_module, "_MOST_ENTRIES", 25)
    root = directory(
        {b"a": regular(20 * BLOCK), b"b": regular(9 * BLOCK), b"c": regular(8 * BLOCK)}
    )
    image = written(root, layout(3, 22, 23, 30, 31))  # 20, 4.5 and 4 entries a hot block
    found = {node.size // BLOCK: extents for node, extents in files_of(image, root)}
    assert found[20] == [(1, block) for block in range(20)]
    assert found[9][2] == (2, 1)
    assert found[8][2] == (2, 4)


def test_files_that_share_blocks_read_the_same_and_share_no_table_entries():
    tree = make_tree(directory({b"%d" % n: regular(4 * BLOCK) for n in range(50)}))
    tree.inodes.data[1:] = 0
    image = Image(bytes(build(tree, 4, OPTIONS, layout(2))))
    for name, nid, _ in image.entries(image.inode(image.root_nid)):
        if name not in (b".", b".."):
            places = image.extents(image.inode(nid))
            assert [0 if device == 2 else block for device, block in places] in (
                [0, 1, 2, 3],
                [0, 1, 0, 3],
            )
