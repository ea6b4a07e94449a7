"""From nodes that were made in any order to a `Tree`: rows breadth first, sorted by name."""

from array import array
from itertools import accumulate
from typing import Final

import numpy as np

from snapshotter.layers.records import U8, U32, Inodes, Tree, XattrSet
from snapshotter.layers.tar.nodes import ROOT, Nodes

_UNSEEN: Final = 0


class _Rows:
    """One row a name, as `records.Tree` wants them."""

    def __init__(self) -> None:
        self.parent = array("I")
        self.child = array("I")
        self.names: list[bytes] = []


def flatten(nodes: Nodes) -> Tree:
    """Return what can be reached from the root, renumbered."""
    order, rows = _walk(nodes)
    parent = np.array(rows.parent, dtype=np.uint32)
    child = np.array(rows.child, dtype=np.uint32)
    sets, set_of = _xattr_sets(nodes, order)
    return Tree(
        inodes=_inodes(nodes, order, _nlink(nodes, order, parent, child), set_of),
        parent=parent,
        child=child,
        name_end=np.fromiter(
            accumulate(map(len, rows.names)), dtype=np.uint64, count=len(rows.names)
        ),
        names=b"".join(rows.names),
        targets=b"".join(nodes.targets[node] for node in order if node in nodes.targets),
        xattr_sets=sets,
    )


def _walk(nodes: Nodes) -> tuple[list[int], _Rows]:
    """Number nodes as a breadth-first walk meets them; return them in that order, and the rows."""
    number = array("I", bytes(4 * len(nodes.mode)))  # 0: not met yet (the root is never a child)
    order = [ROOT]
    rows = _Rows()
    directories = [ROOT]
    for directory in directories:  # grows while it is walked
        children = nodes.directories[directory].children
        names = sorted(children)
        rows.names += names
        rows.parent.extend([number[directory]] * len(names))
        for name in names:
            node = children[name]
            if number[node] == _UNSEEN:
                number[node] = len(order)
                order.append(node)
                if node in nodes.directories:
                    directories.append(node)
            rows.child.append(number[node])
    return order, rows


def _nlink(nodes: Nodes, order: list[int], parent: U32, child: U32) -> U32:
    """Names of a file; for a directory its two own and one of every directory in it."""
    is_directory = np.zeros(len(order), dtype=bool)
    is_directory[[at for at, node in enumerate(order) if node in nodes.directories]] = True
    names = np.bincount(child, minlength=len(order))
    subdirectories = np.bincount(parent[is_directory[child]], minlength=len(order))
    return np.where(is_directory, 2 + subdirectories, names).astype(np.uint32)


def _xattr_sets(nodes: Nodes, order: list[int]) -> tuple[tuple[XattrSet, ...], U32]:
    """Return the distinct sets, the empty one first, and which one each inode has."""
    index: dict[XattrSet, int] = {(): 0}
    set_of = np.zeros(len(order), dtype=np.uint32)
    if nodes.xattrs:
        for at, node in enumerate(order):
            attributes = nodes.xattrs.get(node)
            if attributes:
                key = tuple(sorted(attributes.items()))
                set_of[at] = index.setdefault(key, len(index))
    return tuple(index), set_of


def _inodes(nodes: Nodes, order: list[int], nlink: U32, xattrs: U32) -> Inodes:
    rows = np.array(order, dtype=np.int64)
    flags: U8 = np.array(nodes.flags, dtype=np.uint8)[rows]
    return Inodes(
        mode=np.array(nodes.mode, dtype=np.uint32)[rows],
        uid=np.array(nodes.uid, dtype=np.uint32)[rows],
        gid=np.array(nodes.gid, dtype=np.uint32)[rows],
        mtime_s=np.array(nodes.mtime_s, dtype=np.int64)[rows],
        mtime_ns=np.array(nodes.mtime_ns, dtype=np.uint32)[rows],
        size=np.array(nodes.size, dtype=np.uint64)[rows],
        rdev=np.array(nodes.rdev, dtype=np.uint32)[rows],
        data=np.array(nodes.data, dtype=np.uint64)[rows],
        nlink=nlink,
        flags=flags,
        xattrs=xattrs,
    )
