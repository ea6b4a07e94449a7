"""The entries of a snapshot -> the tree that the EROFS writer takes. Pure, in whole columns.

Entries are sorted so that a directory is followed by what is in it; a layer's tree wants names
breadth first. Sorted by depth, and otherwise left as they are, entries are just that: directories
of one depth follow each other as their parents do.
"""

import stat
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from depsnap.tree.entries import DIRECTORIES, Entry, Kind
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


def layer_tree(entries: Sequence[Entry], place: U64) -> Tree:
    """Return the tree of checked entries; `place`: where each one's contents are in the data area.

    Deletions become whiteouts, replaced directories are opaque.
    """
    order = _sorted_rows(entries)
    if order is not None:
        entries = [entries[row] for row in order]
        place = place[np.array(order, dtype=np.int64)]
    parted = [entry.path.rpartition("/") for entry in entries]
    # From here on rows are numbered from 1: 0 is the root, which is no entry.
    rows, above = _breadth_first(entries, [holder for holder, _, _ in parted])
    inode_of, first = _inodes_of(entries, rows)
    number = np.concatenate([np.zeros(1, dtype=np.int64), inode_of])
    child = inode_of[rows - 1].astype(np.uint32)
    names = _encoded([parted[row - 1][2] for row in rows.tolist()])
    inodes, targets, sets = _columns([entries[row - 1] for row in first.tolist()])
    parents = number[above[rows - 1]].astype(np.uint32)
    return Tree(
        inodes=Inodes(
            **inodes,
            data=np.concatenate([np.zeros(1, np.uint64), place[first - 1]]),
            nlink=link_counts(inodes["mode"], parents, child),
        ),
        parent=parents,
        child=child,
        name_end=np.cumsum(np.fromiter(map(len, names), np.uint64, len(names)), dtype=np.uint64),
        names=b"".join(names),
        targets=targets,
        xattr_sets=sets,
    )


def _encoded(texts: Sequence[str]) -> list[bytes]:
    return [text.encode("utf-8", "surrogateescape") for text in texts]


def _sorted_rows(entries: Sequence[Entry]) -> list[int] | None:
    """Return the rows sorted by names as bytes; None if they are: text is, if it is ASCII."""
    paths = [entry.path for entry in entries]
    if all(map(str.isascii, paths)):
        return None
    keys = [path.replace(b"/", b"\0") for path in _encoded(paths)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _breadth_first(entries: Sequence[Entry], holders: Sequence[str]) -> tuple[I64, I64]:
    """Return the rows breadth first, and for every row, from 1 on, that of its directory."""
    row_of = {entry.path: row for row, entry in enumerate(entries, 1) if entry.kind in DIRECTORIES}
    row_of[""] = 0
    above = np.fromiter(map(row_of.__getitem__, holders), np.int64, len(holders))
    depths = np.fromiter((entry.path.count("/") for entry in entries), np.int64, len(entries))
    return np.argsort(depths, kind="stable") + 1, above


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
    fields: Any = Entry._make(zip(*entries, strict=True) if entries else [()] * len(Entry._fields))
    kinds = np.frombuffer(b"\0" + "".join(fields.kind).encode(), dtype=np.uint8)
    gone, links = kinds == ord(Kind.DELETED), np.flatnonzero(kinds == ord(Kind.SYMLINK))
    targets = _encoded([entries[row - 1].target for row in links.tolist()])
    mtime = _column(fields.mtime_ns, np.int64)
    size = _column(fields.size, np.uint64)
    size[links] = [len(target) for target in targets]
    types, flags = np.zeros(256, dtype=np.uint32), np.zeros(256, dtype=np.uint8)
    bits = np.full(256, 0o7777, dtype=np.uint32)
    for kind, bit in _TYPES.items():
        types[ord(kind)] = bit
        flags[ord(kind)] = _FLAGS.get(kind, 0)
        bits[ord(kind)] = 0 if kind in _WITHOUT_MODE else 0o7777
    mode = types[kinds] | (_column(fields.mode, np.uint32) & bits[kinds])
    mode[0] = _ROOT_MODE
    sets, set_of = _xattr_sets(entries)
    columns: dict[str, npt.NDArray[Any]] = {
        "mode": mode,
        "uid": np.where(gone, 0, _column(fields.uid, np.uint32)).astype(np.uint32),
        "gid": np.where(gone, 0, _column(fields.gid, np.uint32)).astype(np.uint32),
        "mtime_s": np.where(gone, 0, mtime // _SECOND),
        "mtime_ns": np.where(gone, 0, mtime % _SECOND).astype(np.uint32),
        "size": size,
        "rdev": np.zeros(len(kinds), dtype=np.uint32),
        "flags": flags[kinds],
        "xattrs": set_of,
    }
    return columns, b"".join(targets), sets


def _column(values: Any, kind: type[Any]) -> npt.NDArray[Any]:
    """Return one field of all entries, with nothing in front for the root."""
    return np.array((0, *values), dtype=kind)


def _xattr_sets(entries: Sequence[Entry]) -> tuple[tuple[XattrSet, ...], U32]:
    """Return the distinct sets, the empty one first, and which one each inode has."""
    index: dict[XattrSet, int] = {(): 0}
    set_of = np.zeros(len(entries) + 1, dtype=np.uint32)
    for row, entry in enumerate(entries, 1):
        if entry.xattrs:
            key = tuple(sorted((name.encode(), value) for name, value in entry.xattrs))
            set_of[row] = index.setdefault(key, len(index))
    return tuple(index), set_of
