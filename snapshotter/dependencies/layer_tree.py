"""The entries of a snapshot -> the tree that the EROFS writer takes. Pure, in whole columns.

Entries are sorted so that a directory is followed by what is in it; a layer's tree wants names
breadth first. Sorted by depth, and otherwise left as they are, entries are just that: directories
of one depth follow each other as their parents do.
"""

import stat
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from depsnap.tree.entries import DIRECTORIES, Entry, Kind, parent
from snapshotter.layers.links import link_counts
from snapshotter.layers.records import I64, U32, U64, InodeFlag, Inodes, Tree, XattrSet

_ROOT_MODE: Final = stat.S_IFDIR | 0o755
_SECOND: Final = 10**9
_TYPES: Final = {Kind.FILE: stat.S_IFREG, Kind.SYMLINK: stat.S_IFLNK | 0o777} | dict.fromkeys(
    DIRECTORIES, stat.S_IFDIR
)
_FLAGS: Final = {Kind.DELETED: InodeFlag.WHITEOUT, Kind.REPLACED: InodeFlag.OPAQUE}


def layer_tree(entries: Sequence[Entry], place: U64) -> Tree:
    """Return the tree of checked entries; `place`: where each one's contents are in the data area.

    Deletions become whiteouts, replaced directories are opaque.
    """
    order = _sorted_rows(entries)
    entries = [entries[row] for row in order]
    names = [_encoded(entry.path.rpartition("/")[2]) for entry in entries]
    # From here on rows are numbered from 1: 0 is the root, which is no entry.
    rows, above = _breadth_first(entries)
    inode_of, first = _inodes_of(entries, rows)
    number = np.concatenate([np.zeros(1, dtype=np.int64), inode_of])
    child = inode_of[rows - 1].astype(np.uint32)
    ordered = [names[row - 1] for row in rows.tolist()]
    inodes, targets, sets = _columns([entries[row - 1] for row in first.tolist()])
    parents = number[above[rows - 1]].astype(np.uint32)
    return Tree(
        inodes=Inodes(
            **inodes,
            data=np.concatenate(
                [np.zeros(1, np.uint64), place[np.array(order, dtype=np.int64)][first - 1]]
            ),
            nlink=link_counts(inodes["mode"], parents, child),
        ),
        parent=parents,
        child=child,
        name_end=np.fromiter(accumulate(map(len, ordered)), dtype=np.uint64, count=len(ordered)),
        names=b"".join(ordered),
        targets=targets,
        xattr_sets=sets,
    )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _sorted_rows(entries: Sequence[Entry]) -> list[int]:
    """Return the rows sorted by names as bytes: text is, if it is ASCII."""
    if all(entry.path.isascii() for entry in entries):
        return list(range(len(entries)))
    return sorted(
        range(len(entries)), key=lambda row: _encoded(entries[row].path).replace(b"/", b"\0")
    )


def _breadth_first(entries: Sequence[Entry]) -> tuple[I64, I64]:
    """Return the rows breadth first, and for every row, from 1 on, that of its directory."""
    row_of = {"": 0}
    depths = [0]
    above = []
    for row, entry in enumerate(entries, 1):
        holder = row_of[parent(entry.path)]
        above.append(holder)
        depths.append(depths[holder] + 1)
        if entry.kind in DIRECTORIES:
            row_of[entry.path] = row
    return np.argsort(np.array(depths[1:]), kind="stable") + 1, np.array(above, dtype=np.int64)


def _inodes_of(entries: Sequence[Entry], rows: I64) -> tuple[I64, I64]:
    """Return the inode of every row, and the row with the attributes of every inode but the root.

    Inodes are numbered as the rows, breadth first, come to them; a hard link may come before the
    file that it is a link to.
    """
    same = np.arange(1, len(entries) + 1)
    links = [row for row, entry in enumerate(entries) if entry.kind is Kind.HARDLINK]
    if links:
        row_of = {entry.path: row for row, entry in enumerate(entries, 1)}
        same[links] = [row_of[entries[row].target] for row in links]
    owners, seen = np.unique(same[rows - 1], return_index=True)
    first = owners[np.argsort(seen, kind="stable")]
    number = np.zeros(len(entries) + 1, dtype=np.int64)
    number[first] = np.arange(1, len(first) + 1)
    return number[same], first


def _columns(
    entries: Sequence[Entry],
) -> tuple[dict[str, npt.NDArray[Any]], bytes, tuple[XattrSet, ...]]:
    """Return the attributes of all inodes, the root's first, with targets and attribute sets."""
    targets = [_encoded(entry.target) for entry in entries if entry.kind is Kind.SYMLINK]
    mtime = np.array([0, *(entry.mtime_ns for entry in entries)], dtype=np.int64)
    size = np.array([0, *(entry.size for entry in entries)], dtype=np.uint64)
    links = [row for row, entry in enumerate(entries, 1) if entry.kind is Kind.SYMLINK]
    size[links] = [len(target) for target in targets]
    sets, set_of = _xattr_sets(entries)
    zeros = np.zeros(len(entries) + 1, dtype=np.uint32)
    gone = np.array([False, *(entry.kind is Kind.DELETED for entry in entries)])
    columns: dict[str, npt.NDArray[Any]] = {
        "mode": _whole([_ROOT_MODE, *map(_mode, entries)]),
        "uid": np.where(gone, zeros, _whole([0, *(entry.uid for entry in entries)])),
        "gid": np.where(gone, zeros, _whole([0, *(entry.gid for entry in entries)])),
        "mtime_s": np.where(gone, 0, mtime // _SECOND),
        "mtime_ns": np.where(gone, 0, mtime % _SECOND).astype(np.uint32),
        "size": size,
        "rdev": zeros,
        "flags": np.array([0, *(_FLAGS.get(one.kind, 0) for one in entries)], dtype=np.uint8),
        "xattrs": set_of,
    }
    return columns, b"".join(targets), sets


def _whole(values: list[int]) -> U32:
    return np.array(values, dtype=np.uint32)


def _mode(entry: Entry) -> int:
    if entry.kind is Kind.DELETED:
        return stat.S_IFCHR
    permissions = 0 if entry.kind is Kind.SYMLINK else entry.mode
    return _TYPES[entry.kind] | permissions


def _xattr_sets(entries: Sequence[Entry]) -> tuple[tuple[XattrSet, ...], U32]:
    """Return the distinct sets, the empty one first, and which one each inode has."""
    index: dict[XattrSet, int] = {(): 0}
    set_of = np.zeros(len(entries) + 1, dtype=np.uint32)
    for row, entry in enumerate(entries, 1):
        if entry.xattrs:
            key = tuple(sorted((name.encode(), value) for name, value in entry.xattrs))
            set_of[row] = index.setdefault(key, len(index))
    return tuple(index), set_of
