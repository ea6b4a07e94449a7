"""Each rule of the index's law, broken one at a time, is refused by name."""

import dataclasses
import stat

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from bootseer.errors import CorruptError
from snapshotter.layers.records import BLOCK, Codec, InodeFlag, LayerIndex, Tree
from snapshotter.layers.validate import check_index, check_tree
from snapshotter.limits import DEFAULT, Limits
from tests.layer_strategies import (
    Node,
    directory,
    indexes,
    make_index,
    make_tree,
    regular,
    symlink,
    whiteout,
)


def example() -> LayerIndex:
    """Inodes: 0 root, 1 a, 2 d, 3 gone, 4 link, 5 null, 6 d/f; d/hard is a again."""
    shared = regular(3 * BLOCK)
    root = directory(
        {
            b"a": shared,
            b"d": directory({b"f": regular(5), b"hard": shared}),
            b"gone": whiteout(),
            b"link": symlink(b"target"),
            b"null": Node(mode=stat.S_IFCHR | 0o666, rdev=259),
        }
    )
    return make_index(make_tree(root), chunk=2 * BLOCK)


def changed(record, name, row, value):
    """Copy a record with one value of one column replaced."""
    column = getattr(record, name).copy()
    column[row] = value
    return dataclasses.replace(record, **{name: column})


@given(indexes())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_the_strategies_draw_is_valid(index):
    check_index(index)


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("mode", 1, 0o644, "file type"),
        ("mode", 1, 1 << 16 | 0o100644, "16 bits"),
        ("mode", 0, 0o100644, "root"),
        ("mode", 2, 0o100755, "is set on|directory|past"),
        ("mtime_s", 1, -1, "1970"),
        ("mtime_s", 1, 2**62, "2262"),
        ("mtime_ns", 1, 10**9, "10\\^9"),
        ("flags", 1, 8, "unknown bits"),
        ("flags", 1, InodeFlag.WHITEOUT, "whiteout"),
        ("flags", 1, InodeFlag.OPAQUE, "not a directory"),
        ("flags", 0, InodeFlag.OPAQUE, "root opaque"),
        ("rdev", 1, 5, "not a device"),
        ("size", 2, 5, "without content"),
        ("size", 4, 7, "targets"),
        ("size", 4, 0, "symlink"),
        ("size", 4, 4096, "symlink"),
        ("size", 1, 2**64 - 1, "past the data area"),
        ("data", 1, 2**64 - BLOCK, "past the data area"),
        ("data", 1, 5, "4 KiB"),
        ("data", 2, BLOCK, "without content"),
        ("nlink", 1, 1, "nlink"),
        ("nlink", 0, 2, "nlink"),
        ("xattrs", 1, 1, "set's number"),
    ],
)
def test_a_wrong_inode_is_refused(name, row, value, message):
    index = example()
    inodes = changed(index.tree.inodes, name, row, value)
    with pytest.raises(CorruptError, match=message):
        check_tree(dataclasses.replace(index.tree, inodes=inodes), index.data_size, DEFAULT)


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("parent", 0, 1, "decreases|not seen|not a directory"),
        ("parent", 6, 1, "decreases|directory"),
        ("parent", 6, 99, "not seen"),
        ("parent", 4, 2, "depth|names|order|nlink"),
        ("child", 0, 0, "no inode"),
        ("child", 0, 99, "no inode"),
        ("child", 0, 2, "order of their numbers"),
        ("child", 6, 2, "directory again"),
        ("name_end", 0, 0, "legal length"),
        ("name_end", 6, 99, "add up"),
        ("name_end", 0, 2**64 - 1, "legal length"),
    ],
)
def test_a_wrong_row_is_refused(name, row, value, message):
    index = example()
    with pytest.raises(CorruptError, match=message):
        check_tree(changed(index.tree, name, row, value), index.data_size, DEFAULT)


def with_names(*names: bytes) -> Tree:
    """Return a root with empty files of these names, in the order given."""
    tree = make_tree(directory({b"%04d" % row: regular() for row in range(len(names))}))
    ends = np.cumsum([len(name) for name in names]).astype(np.uint64)
    return dataclasses.replace(tree, names=b"".join(names), name_end=ends)


@pytest.mark.parametrize(
    "names",
    [
        (b"a", b"a"),
        (b"b", b"a"),
        (b"same-eight-bytes-b", b"same-eight-bytes-a"),
        (b"longer-by-one", b"longer-by-on"),
        (b"12345678", b"12345678"),
        (b"123456789", b"12345678"),
        (b"x" * 255, b"x" * 254),
        (b"\xff", b"\xfe"),
        (b".",),
        (b"..",),
        (b"a/b",),
        (b"a\0b",),
        (b"n" * 256,),
    ],
)
def test_wrong_names_are_refused(names):
    with pytest.raises(CorruptError, match="names"):
        check_tree(with_names(*names), 0, DEFAULT)


@pytest.mark.parametrize(
    "names", [(b"a", b"b"), (b"12345678", b"123456789"), (b"...", b"..a"), (b"x" * 254, b"x" * 255)]
)
def test_right_names_are_accepted(names):
    check_tree(with_names(*names), 0, DEFAULT)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((((b"trusted.overlay.redirect", b"/"),)), "cannot have"),
        ((((b"user.", b"/"),)), "cannot have"),
        ((((b"system.other", b""),)), "cannot have"),
        ((((b"user.a\0b", b""),)), "cannot have"),
        ((((b"user." + b"n" * 251, b""),)), "cannot have"),
        ((((b"user.b", b""), (b"user.a", b""))), "sorted"),
        ((((b"user.a", b""), (b"user.a", b""))), "sorted"),
        ((((b"user.a", bytes(61 << 10)),)), "limit"),
    ],
)
def test_wrong_extended_attributes_are_refused(entries, message):
    tree = make_tree(directory())
    with pytest.raises(CorruptError, match=message):
        check_tree(dataclasses.replace(tree, xattr_sets=((), entries)), 0, DEFAULT)


def test_the_first_attribute_set_must_be_the_empty_one():
    tree = dataclasses.replace(make_tree(directory()), xattr_sets=(((b"user.a", b""),),))
    with pytest.raises(CorruptError, match="empty set"):
        check_tree(tree, 0, DEFAULT)


def test_a_tree_that_is_too_deep_is_refused():
    root = at = directory()
    for _ in range(30):
        at.children[b"d"] = directory()
        at = at.children[b"d"]
    check_tree(make_tree(root), 0, Limits(depth=30))
    with pytest.raises(CorruptError, match="depth"):
        check_tree(make_tree(root), 0, Limits(depth=29))


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("blob", 0, 1, "is not 0"),
        ("blob", 1, 2**63, "decreases"),
        ("blob", -1, 10**7, "ends at"),
        ("tar", 1, 0, "belongs|too large"),
        ("data", 1, 5, "belongs"),
        ("data", 1, 2 * BLOCK + 1, "belongs"),
        ("data", -1, 3 * BLOCK, "4 KiB|past|end|belongs|decreases"),
        ("codec", 0, 3, "codec"),
        ("skip", 0, 2**31, "out of range"),
        ("bits", 1, 8, "bits"),
        ("window", -1, 10**6, "too large"),
    ],
)
def test_a_wrong_chunk_is_refused(name, row, value, message):
    index = example()
    with pytest.raises(CorruptError, match=message):
        check_index(dataclasses.replace(index, chunks=changed(index.chunks, name, row, value)))


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("data", 0, 2**64 - 1, "past the end"),
        ("tar", 1, 0, "overlaps"),
        ("data", 1, 0, "overlaps"),
        ("length", 0, 0, "empty"),
        ("length", 0, 2**64 - 1, "past the end"),
        ("tar", 0, 600, "belongs"),
    ],
)
def test_a_wrong_extent_is_refused(name, row, value, message):
    index = example()
    with pytest.raises(CorruptError, match=message):
        check_index(dataclasses.replace(index, extents=changed(index.extents, name, row, value)))


@pytest.mark.parametrize(
    "fields",
    [
        {"layer_digest": "sha512:" + "0" * 128},
        {"layer_digest": "sha256:" + "A" * 64},
        {"layer_digest": "sha256:" + "a" * 64 + "\n"},
        {"diff_id": ""},
        {"merkle_root": b"short"},
        {"windows_digest": "sha256:../x"},
        {"windows_digest": ""},
    ],
)
def test_a_wrong_head_is_refused(fields):
    with pytest.raises(CorruptError):
        check_index(dataclasses.replace(example(), **fields))


def test_an_uncompressed_layer_must_have_equal_offsets():
    index = make_index(example().tree, chunk=BLOCK, codec=Codec.RAW)
    check_index(index)
    blob = index.chunks.blob.copy()
    blob[1] += np.uint64(1)
    with pytest.raises(CorruptError, match="uncompressed"):
        check_index(dataclasses.replace(index, chunks=dataclasses.replace(index.chunks, blob=blob)))


def test_columns_of_different_lengths_are_refused():
    tree = example().tree
    short = dataclasses.replace(
        tree, inodes=dataclasses.replace(tree.inodes, uid=tree.inodes.uid[:-1])
    )
    with pytest.raises(CorruptError, match=r"inodes\.uid has 6 rows"):
        check_tree(short, 1 << 20, DEFAULT)
