"""What the metadata writer writes, read back by a reader of its own."""

import stat

import pytest
from erofs_reader import Image, Inode
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from snapshotter.erofs.build import build
from snapshotter.erofs.crc32c import crc32c
from snapshotter.erofs.options import TRUSTED_OPAQUE, USER_OPAQUE, Options, uuid_of
from snapshotter.layers.records import BLOCK, InodeFlag
from tests.layer_strategies import (
    Node,
    data_size,
    directory,
    make_tree,
    numbers_of,
    regular,
    roots,
    symlink,
    whiteout,
)

OPTIONS = Options(uuid_of("sha256:0"))
FILE_TYPES = {8: 1, 4: 2, 2: 3, 6: 4, 1: 5, 12: 6, 10: 7}


def written(root: Node, options: Options = OPTIONS) -> Image:
    tree = make_tree(root)
    return Image(bytes(build(tree, data_size(tree) // BLOCK, options)))


def check_same(image: Image, root: Node, *, bottom: bool, opaque: tuple[bytes, ...]) -> None:
    """Walk image and nodes together; every name, attribute and byte must agree."""
    tree = make_tree(root)
    numbers: dict[int, int] = {}
    queue = [(image.root_nid, image.root_nid, root)]
    number_of = numbers_of(root)
    while queue:
        nid, above, node = queue.pop()
        inode = image.inode(nid)
        assert numbers.setdefault(id(node), nid) == nid, "hard links share an inode"
        _check_inode(image, inode, node, tree, number_of[id(node)], bottom, opaque)
        if not stat.S_ISDIR(node.mode):
            continue
        children = {
            name: child
            for name, child in node.children.items()
            if not (bottom and child.flags & InodeFlag.WHITEOUT)
        }
        entries = image.entries(inode)
        assert [name for name, _, _ in entries] == sorted([*children, b".", b".."])
        for name, child_nid, file_type in entries:
            if name in (b".", b".."):
                assert (child_nid, file_type) == (nid if name == b"." else above, 2)
            else:
                assert file_type == FILE_TYPES[children[name].mode >> 12]
                queue.append((child_nid, nid, children[name]))
    assert image.inos == len(numbers)


def _check_inode(image, inode: Inode, node: Node, tree, number, bottom, opaque) -> None:
    assert (inode.mode, inode.uid, inode.gid) == (node.mode, node.uid, node.gid)
    assert inode.mtime == node.mtime
    assert inode.nlink == tree.inodes.nlink[number]
    xattrs = dict(node.xattrs)
    if node.flags & InodeFlag.OPAQUE and not bottom:
        xattrs |= dict.fromkeys(opaque, b"y")
    assert inode.xattrs == xattrs
    if stat.S_ISREG(node.mode):
        assert inode.size == node.size
        if node.size:
            assert inode.layout == 0
            blocks, mapped = image.devices[0]
            assert inode.address - mapped == tree.inodes.data[number] // BLOCK
            assert inode.address - mapped + -(-node.size // BLOCK) <= blocks
    elif stat.S_ISLNK(node.mode):
        assert image.content(inode) == node.target
    elif stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
        assert inode.address == node.rdev


@given(roots(), st.booleans(), st.sampled_from([(TRUSTED_OPAQUE,), (TRUSTED_OPAQUE, USER_OPAQUE)]))
def test_any_tree_reads_back_as_it_was(root, bottom, opaque):
    image = written(root, Options(OPTIONS.uuid, bottom, opaque))
    check_same(image, root, bottom=bottom, opaque=opaque)


@given(roots())
def test_the_superblock_describes_the_image(root):
    image = written(root)
    assert image.magic == 0xE0F5E1E2
    assert image.uuid == OPTIONS.uuid
    assert len(image.image) == image.blocks * BLOCK
    covered = bytearray(image.image[1024:BLOCK])
    covered[4:8] = bytes(4)
    assert crc32c(bytes(covered)) == image.checksum
    if image.devices:
        (_, mapped) = image.devices[0]
        assert mapped >= image.blocks
        assert image.incompat == 8
    else:
        assert image.incompat == 0


def test_the_same_tree_gives_the_same_bytes():
    root = directory({b"a": regular(5), b"d": directory({b"l": symlink(b"x")})})
    assert written(root).image == written(root).image


def test_crc32c_matches_the_published_check_value():
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283


def test_a_directory_of_100_000_names_spans_blocks_in_order():
    root = directory({b"big": directory({b"n%06d" % i: regular() for i in range(100_000)})})
    check_same(written(root), root, bottom=False, opaque=())


@pytest.mark.parametrize("count", [30, 100, 130, 140, 146, 147, 148, 150, 152, 155, 300, 301])
def test_directories_around_a_block_boundary(count):
    root = directory({b"d": directory({b"name-%09d" % i: regular() for i in range(count)})})
    check_same(written(root), root, bottom=False, opaque=())


@pytest.mark.parametrize("length", [1, 4000, 4031, 4032, 4033, 4095])
def test_long_symlinks_move_out_of_the_inode(length):
    root = directory({b"l": symlink(b"t" * length), b"m": symlink(b"u" * length)})
    check_same(written(root), root, bottom=False, opaque=())


def test_names_that_sort_around_the_dot_entries():
    names = [
        b"!",
        b"-",
        b"-.",
        b".!",
        b".-",
        b".-x",
        b"...",
        b"..a",
        b".a",
        b"/"[:0] + b"0",
        b"\xff",
    ]
    root = directory({name: regular() for name in names})
    check_same(written(root), root, bottom=False, opaque=())


def test_a_tree_of_1_000_levels():
    root = directory()
    at = root
    for _ in range(1_000):
        at.children[b"d"] = directory({b"f": regular(1)})
        at = at.children[b"d"]
    check_same(written(root), root, bottom=False, opaque=())


def test_extended_attributes_of_60_kib_and_a_value_that_two_files_share():
    large = ((b"user.large", b"v" * 60_000),)
    many = tuple(sorted((b"user.%03d" % i, b"") for i in range(300)))
    root = directory(
        {
            b"a": regular(1, xattrs=large),
            b"b": regular(1, xattrs=large),
            b"c": symlink(b"target", xattrs=((b"security.large", b"v" * 5000),)),
            b"d": directory({b"e": regular()}, xattrs=((b"user.d", b"v" * 4000),)),
            b"m1": regular(xattrs=many),
            b"m2": regular(xattrs=many),
            b"acl": regular(xattrs=((b"system.posix_acl_access", b"\2\0\0\0"),)),
        }
    )
    image = written(root)
    check_same(image, root, bottom=False, opaque=())
    assert len(image.image) < 100_000, "60,000 bytes are stored once"


def test_a_bottom_layer_has_no_whiteouts_and_no_opaque_marks():
    root = directory(
        {b"gone": whiteout(), b"d": directory({b"x": whiteout()}, flags=InodeFlag.OPAQUE)}
    )
    image = written(root, Options(OPTIONS.uuid, bottom=True))
    check_same(image, root, bottom=True, opaque=())
    assert image.inos == 2


def test_an_opaque_mark_replaces_an_attribute_of_that_name():
    root = directory({b"d": directory(flags=InodeFlag.OPAQUE, xattrs=((USER_OPAQUE, b"n"),))})
    image = written(root, Options(OPTIONS.uuid, opaque_xattrs=(USER_OPAQUE,)))
    check_same(image, root, bottom=False, opaque=(USER_OPAQUE,))


def test_a_file_past_the_data_area_is_refused():
    tree = make_tree(directory({b"f": regular(2 * BLOCK)}))
    with pytest.raises(CorruptError, match="data area"):
        build(tree, 1, OPTIONS)


@pytest.mark.parametrize("name", [b"foo.bar", b"user.", b"system.other", b"user." + b"n" * 256])
def test_an_attribute_that_erofs_cannot_name_is_refused(name):
    tree = make_tree(directory(xattrs=((name, b""),)))
    with pytest.raises(CorruptError, match="extended attribute"):
        build(tree, 0, OPTIONS)
