"""The entries of a snapshot -> the tree that the EROFS writer takes. Pure, in whole columns.

Entries are sorted so that a directory is followed by what is in it; a layer's tree wants names
breadth first. Sorted by depth, and otherwise left as they are, entries are just that: directories
of one depth follow each other as their parents do, and the parent of an entry is the last one in
front of it that is one level higher.
"""

import stat
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from depsnap.tree.entries import DIRECTORIES, Kind
from depsnap.tree.table import Table
from snapshotter.layers.links import link_counts
from snapshotter.layers.records import I64, U32, U64, InodeFlag, Inodes, Tree, XattrSet

_ROOT_MODE: Final = stat.S_IFDIR | 0o755
_SECOND: Final = 10**9
_TYPES: Final = {
    Kind.FILE: stat.S_IFREG,
    Kind.SYMLINK: stat.S_IFLNK | 0o777,
    Kind.DELETED: stat.S_IFCHR,
} | dict.fromkeys(DIRECTORIES, stat.S_IFDIR)
_WITHOUT_MODE: Final = (Kind.SYMLINK, Kind.DELETED)
_FLAGS: Final = {Kind.DELETED: InodeFlag.WHITEOUT, Kind.REPLACED: InodeFlag.OPAQUE}


def layer_tree(table: Table, place: U64) -> Tree:
    """Return the tree of checked entries; `place`: where each one's contents are in the data area.

    Deletions become whiteouts, replaced directories are opaque.
    """
    ranked = _sorted_rows(table)
    depth = np.array(table.depths, dtype=np.int64)
    order, above = _breadth_first(depth[ranked])
    rows = ranked[order]
    inode_of, owners = _inodes_of(table, rows)
    # Inode 0 is the root, which is no entry.
    number = np.concatenate([np.zeros(1, dtype=np.int64), inode_of[ranked]])
    child = inode_of[rows].astype(np.uint32)
    parents = number[above].astype(np.uint32)
    names, name_end = _joined(table.names, rows)
    inodes, targets, sets = _columns(table, owners)
    return Tree(
        inodes=Inodes(
            **inodes,
            data=np.concatenate([np.zeros(1, np.uint64), place[owners]]),
            nlink=link_counts(inodes["mode"], parents, child),
        ),
        parent=parents,
        child=child,
        name_end=name_end,
        names=names,
        targets=targets,
        xattr_sets=sets,
    )


def _sorted_rows(table: Table) -> I64:
    """Return the rows sorted by names as bytes: as they are, if text is ASCII."""
    if "".join(table.names).isascii():
        return np.arange(len(table.names))
    keys = [_encoded(path).replace(b"/", b"\0") for path in table.paths]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def _joined(texts: Sequence[str], rows: I64) -> tuple[bytes, U64]:
    """Return some texts, one behind the other, and where each ends, in bytes."""
    chosen = [texts[row] for row in rows.tolist()]
    joined = _encoded("".join(chosen))
    sizes = map(len, chosen if joined.isascii() else map(_encoded, chosen))
    return joined, np.cumsum(np.fromiter(sizes, np.uint64, len(chosen)), dtype=np.uint64)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _breadth_first(depth: I64) -> tuple[I64, I64]:
    """Return sorted entries breadth first, and of each, in that order, the one it is in.

    The latter are numbered from 1: 0 is the root.
    """
    order = np.argsort(depth, kind="stable")
    above = np.zeros(len(depth), dtype=np.int64)
    levels = [0, *(np.flatnonzero(np.diff(depth[order])) + 1).tolist(), len(depth)]
    for (higher, begin), (_, end) in pairwise(pairwise(levels)):
        up = order[higher:begin]
        above[begin:end] = up[np.searchsorted(up, order[begin:end]) - 1] + 1
    return order, above


def _inodes_of(table: Table, rows: I64) -> tuple[I64, I64]:
    """Return the inode of every row, and the row with the attributes of every inode but the root.

    Inodes are numbered as the rows, breadth first, come to them; a hard link may come before the
    file that it is a link to.
    """
    same = np.arange(len(rows))
    links = table.rows_of((Kind.HARDLINK,))
    if links:
        row_of = {path: row for row, path in enumerate(table.paths)}
        same[links] = [row_of[table.targets[row]] for row in links]
    owners, seen = np.unique(same[rows], return_index=True)
    owners = owners[np.argsort(seen, kind="stable")]
    number = np.zeros(len(rows), dtype=np.int64)
    number[owners] = np.arange(1, len(owners) + 1)
    return number[same], owners


def _columns(
    table: Table, owners: I64
) -> tuple[dict[str, npt.NDArray[Any]], bytes, tuple[XattrSet, ...]]:
    """Return the attributes of all inodes, the root's first, with targets and attribute sets."""

    def column(values: Sequence[int], kind: type[Any]) -> npt.NDArray[Any]:
        found = np.zeros(len(owners) + 1, dtype=kind)
        found[1:] = np.array(values, dtype=np.int64)[owners]
        return found

    letters = np.frombuffer(table.kinds.encode(), dtype=np.uint8)
    kinds = np.concatenate([np.zeros(1, dtype=np.uint8), letters[owners]])
    gone, links = kinds == ord(Kind.DELETED), np.flatnonzero(kinds == ord(Kind.SYMLINK))
    targets = [_encoded(table.targets[row]) for row in owners[links - 1].tolist()]
    mtime = column(table.mtimes, np.int64)
    size = column(table.sizes, np.uint64)
    size[links] = [len(target) for target in targets]
    types, flags = np.zeros(256, dtype=np.uint32), np.zeros(256, dtype=np.uint8)
    bits = np.full(256, 0o7777, dtype=np.uint32)
    for kind, bit in _TYPES.items():
        types[ord(kind)] = bit
        flags[ord(kind)] = _FLAGS.get(kind, 0)
        bits[ord(kind)] = 0 if kind in _WITHOUT_MODE else 0o7777
    mode = types[kinds] | (column(table.modes, np.uint32) & bits[kinds])
    mode[0] = _ROOT_MODE
    sets, set_of = _xattr_sets(table)
    columns: dict[str, npt.NDArray[Any]] = {
        "mode": mode,
        "uid": np.where(gone, 0, column(table.uids, np.uint32)),
        "gid": np.where(gone, 0, column(table.gids, np.uint32)),
        "mtime_s": np.where(gone, 0, mtime // _SECOND),
        "mtime_ns": np.where(gone, 0, mtime % _SECOND).astype(np.uint32),
        "size": size,
        "rdev": np.zeros(len(kinds), dtype=np.uint32),
        "flags": flags[kinds],
        "xattrs": np.concatenate([np.zeros(1, dtype=np.uint32), set_of[owners]]),
    }
    return columns, b"".join(targets), sets


def _xattr_sets(table: Table) -> tuple[tuple[XattrSet, ...], U32]:
    """Return the distinct sets, the empty one first, and which one each entry has."""
    index: dict[XattrSet, int] = {(): 0}
    set_of = np.zeros(len(table.names), dtype=np.uint32)
    for row, xattrs in table.xattrs.items():
        key = tuple(sorted((name.encode(), value) for name, value in xattrs))
        set_of[row] = index.setdefault(key, len(index))
    return tuple(index), set_of
