"""Which file of a layer a block of its data area belongs to, and what that file is called. Pure.

Files may share blocks: nothing forbids an index in which the data of two inodes overlap. A block
is then said to belong to one of them, so that bytes are never counted twice.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from snapshotter.layers.links import first_names
from snapshotter.layers.records import BLOCK, I64, Inodes, Tree
from snapshotter.limits import DEFAULT, Limits

NOBODY: Final = 0
"""Stands for no file: inode 0 is the root directory, which has no data."""
_REGULAR: Final = 8
"""File type as `st_mode >> 12`."""
_CUT: Final = b"..."
"""Stands in front of a path that is too long to be shown whole."""


@dataclass(frozen=True, slots=True, eq=False)
class FileMap:
    """The files of a layer that have data, by their first block. One row a file."""

    inode: I64
    first: I64
    """First block."""
    past: I64
    """Block behind the last one."""
    longest: I64
    """Of the rows up to this one, the one that ends last."""


def file_map(inodes: Inodes) -> FileMap:
    """Return where the files of a layer lie."""
    inode = np.flatnonzero((inodes.mode >> 12 == _REGULAR) & (inodes.size > 0))
    first = inodes.data[inode].astype(np.int64) // BLOCK
    past = first + -(-inodes.size[inode].astype(np.int64) // BLOCK)
    order = np.argsort(first, kind="stable")
    inode, first, past = inode[order], first[order], past[order]
    leads = past == np.maximum.accumulate(past)
    longest = np.maximum.accumulate(np.where(leads, np.arange(len(past)), 0))
    return FileMap(inode, first, past, longest)


def owners(files: FileMap, block: I64) -> I64:
    """Return the inode that each block belongs to, or `NOBODY`.

    That is the file that starts last before the block; if it ends before, the one that ends last.
    """
    inode = np.full(len(block), NOBODY, dtype=np.int64)
    row = np.searchsorted(files.first, block, side="right") - 1
    some = np.flatnonzero(row >= 0)
    row = row[some]
    row = np.where(block[some] < files.past[row], row, files.longest[row])
    covered = block[some] < files.past[row]
    inode[some[covered]] = files.inode[row[covered]]
    return inode


class Paths:
    """Gives inodes of a tree their paths; of several names (hard links) the first in the tree."""

    def __init__(self, tree: Tree, limits: Limits = DEFAULT) -> None:
        self._tree = tree
        self._longest = limits.path
        # Inodes are numbered as they are named first, so row i of these is inode i + 1.
        self._row = np.flatnonzero(first_names(tree.child))

    def of(self, inode: int) -> bytes:
        """Return a path without a slash in front; the front of one that is too long is cut off."""
        parts: list[bytes] = []
        length = 0
        while inode:
            row = int(self._row[inode - 1])
            start = int(self._tree.name_end[row - 1]) if row else 0
            part = self._tree.names[start : int(self._tree.name_end[row])]
            length += len(part) + 1
            if length > self._longest:
                parts.append(_CUT)
                break
            parts.append(part)
            inode = int(self._tree.parent[row])
        return b"/".join(reversed(parts))
