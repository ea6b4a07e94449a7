"""Does a tree obey the law of `records.Tree`? All that the EROFS writer relies on is checked."""

from typing import Final

import numpy as np

from snapshotter.layers.checks import at_most, refuse, refuse_rows, same_length
from snapshotter.layers.links import first_names, link_counts
from snapshotter.layers.names import check_names
from snapshotter.layers.records import BLOCK, I64, InodeFlag, Inodes, Tree, XattrSet
from snapshotter.limits import Limits

_FIFO, _CHR, _DIR, _BLK, _REG, _LNK, _SOCK = 1, 2, 4, 6, 8, 10, 12
"""File types as `st_mode >> 12`."""
_TYPES: Final = (_FIFO, _CHR, _DIR, _BLK, _REG, _LNK, _SOCK)
_SECONDS_MAX: Final = 2**63 // 10**9
"""What fits 64 bits of nanoseconds; later times are written as 0 by containerd."""
_ALL_FLAGS: Final = InodeFlag.WHITEOUT | InodeFlag.IMPLICIT | InodeFlag.OPAQUE
_NAMESPACES: Final = (b"user.", b"security.")
_ACLS: Final = (b"system.posix_acl_access", b"system.posix_acl_default")
_XATTR_NAME: Final = 255


def check_tree(tree: Tree, data_size: int, limits: Limits) -> None:
    """Raise `CorruptError`, naming section and field, unless the tree is valid.

    `data_size` is the length of the data area in bytes.
    """
    _check_shape(tree, limits)
    _check_modes(tree.inodes)
    _check_flags(tree.inodes)
    _check_sizes(tree, data_size, limits)
    _check_rows(tree)
    _check_depth(tree, limits)
    check_names(tree, limits)
    _check_xattrs(tree, limits)
    expected = link_counts(tree.inodes.mode, tree.parent, tree.child)
    refuse_rows(tree.inodes.nlink != expected, "inodes.nlink", "is not the number of its names")


def _check_shape(tree: Tree, limits: Limits) -> None:
    inodes = tree.inodes
    count = len(inodes.mode)
    if not count:
        raise refuse("inodes", "are empty: there is no root")
    at_most("inodes", count, limits.entries)
    at_most("rows", len(tree.child), limits.entries)
    columns = {name: getattr(inodes, name) for name in Inodes.__dataclass_fields__}
    same_length("inodes", count, **columns)
    same_length("rows", len(tree.child), parent=tree.parent, name_end=tree.name_end)


def _check_modes(inodes: Inodes) -> None:
    refuse_rows(inodes.mode > 0xFFFF, "inodes.mode", "has more than 16 bits")
    refuse_rows(~np.isin(inodes.mode >> 12, _TYPES), "inodes.mode", "has no file type")
    if inodes.mode[0] >> 12 != _DIR:
        raise refuse("inodes.mode[0]", "is not a directory: it is the root")
    late = (inodes.mtime_s < 0) | (inodes.mtime_s > _SECONDS_MAX)
    refuse_rows(late, "inodes.mtime_s", "is before 1970 or after 2262")
    refuse_rows(inodes.mtime_ns >= 10**9, "inodes.mtime_ns", "is not below 10^9")


def _check_flags(inodes: Inodes) -> None:
    flags, kind = inodes.flags, inodes.mode >> 12
    refuse_rows(flags & ~np.uint8(_ALL_FLAGS) != 0, "inodes.flags", "has unknown bits")
    whiteout = flags & InodeFlag.WHITEOUT != 0
    plain = (inodes.mode == _CHR << 12) & (inodes.rdev == 0) & (flags == InodeFlag.WHITEOUT)
    refuse_rows(whiteout & ~plain, "inodes.flags", "marks something else as a whiteout")
    marked = flags & (InodeFlag.IMPLICIT | InodeFlag.OPAQUE) != 0
    refuse_rows(marked & (kind != _DIR), "inodes.flags", "marks something not a directory")
    if flags[0] & InodeFlag.OPAQUE:
        raise refuse("inodes.flags[0]", "marks the root opaque")


def _check_sizes(tree: Tree, data_size: int, limits: Limits) -> None:
    inodes, kind = tree.inodes, tree.inodes.mode >> 12
    device = (kind == _CHR) | (kind == _BLK)
    refuse_rows((inodes.rdev != 0) & ~device, "inodes.rdev", "is set on something not a device")
    sized = (kind == _REG) | (kind == _LNK)
    refuse_rows((inodes.size != 0) & ~sized, "inodes.size", "is set on something without content")
    full = (kind == _REG) & (inodes.size > 0)
    refuse_rows((inodes.data != 0) & ~full, "inodes.data", "is set on something without content")
    refuse_rows(inodes.data % BLOCK != 0, "inodes.data", "is not a multiple of 4 KiB")
    past = full & ((inodes.size > data_size) | (inodes.data > data_size))
    past |= full & (inodes.data + inodes.size > data_size)
    refuse_rows(past, "inodes.data", "is past the data area")
    link = kind == _LNK
    wrong = link & ((inodes.size == 0) | (inodes.size > limits.symlink))
    refuse_rows(wrong, "inodes.size", "is no length of a symlink")
    total = int(inodes.size[link].sum())
    if total != len(tree.targets) or b"\0" in tree.targets:
        raise refuse("targets", f"are not {total} bytes without NUL")


def _check_rows(tree: Tree) -> None:
    """Check the law: breadth first, each inode named, only hard links named again."""
    parent, child, kind = tree.parent, tree.child, tree.inodes.mode >> 12
    count = len(kind)
    refuse_rows((child == 0) | (child >= count), "rows.child", "is no inode but the root's")
    refuse_rows(parent[1:] < parent[:-1], "rows.parent", "decreases behind this row")
    new = first_names(child)
    if not np.array_equal(child[new], np.arange(1, count)):
        raise refuse("rows.child", "does not name all inodes in the order of their numbers")
    refuse_rows(~new & (kind[child] == _DIR), "rows.child", "names a directory again")
    seen: I64 = np.cumsum(new, dtype=np.int64) - new
    refuse_rows(parent > seen, "rows.parent", "is not seen before")
    refuse_rows(kind[np.minimum(parent, count - 1)] != _DIR, "rows.parent", "is not a directory")


def _check_depth(tree: Tree, limits: Limits) -> None:
    """Go down level by level: in breadth-first numbering a level is a range of numbers."""
    new = first_names(tree.child)
    reached = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(new)])
    end, depth = 1, 0
    while end < len(tree.inodes.mode):
        rows = int(np.searchsorted(tree.parent, end))
        end, depth = int(reached[rows]) + 1, depth + 1
        at_most("rows: depth of directories", depth, limits.depth)


def _check_xattrs(tree: Tree, limits: Limits) -> None:
    sets = tree.xattr_sets
    if not sets or sets[0]:
        raise refuse("xattrs[0]", "is not the empty set")
    refuse_rows(tree.inodes.xattrs >= len(sets), "inodes.xattrs", "is no set's number")
    for number, entries in enumerate(sets):
        _check_xattr_set(f"xattrs[{number}]", entries, limits)


def _check_xattr_set(field: str, entries: XattrSet, limits: Limits) -> None:
    at_most(f"{field}: size", sum(len(name) + len(value) for name, value in entries), limits.xattrs)
    before = b""
    for name, value in entries:
        if name <= before:
            raise refuse(field, "is not sorted by name")
        if b"\0" in name or len(name) > _XATTR_NAME or not _is_known(name):
            raise refuse(field, f"has the name {name[:64]!r}, which a layer cannot have")
        at_most(f"{field}: value", len(value), limits.xattr_value)
        before = name


def _is_known(name: bytes) -> bool:
    """Tell whether an image may carry it. `trusted.` would speak to overlayfs, and none does."""
    return name in _ACLS or any(
        name.startswith(space) and len(name) > len(space) for space in _NAMESPACES
    )
