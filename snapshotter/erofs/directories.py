"""Directories: which entries each has, in which order, cut into which blocks.

A directory block is [directory entries][names]: entry i names the bytes from its `nameoff` to the
next one's, and the first `nameoff` tells how many entries there are. Entries are sorted by name as
bytes through the whole directory, `.` and `..` among them: the kernel searches by bisection.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snapshotter.erofs import format as erofs
from snapshotter.erofs.runs import starts_of
from snapshotter.layers.records import BLOCK, I64, U8, InodeFlag, Tree

_DOT = ord(".")


@dataclass(frozen=True, slots=True, eq=False)
class DirectoryPlan:
    """All directory entries of a layer, directory after directory, and their blocks.

    Three tables: `entry_*`, `block_*` (a block is a range of entries) and `dir_*`.
    """

    source: U8
    """The tree's names, and `..` at the end."""
    entry_name: I64
    """Where the name starts in `source`."""
    entry_length: I64
    entry_inode: I64
    """Inode that the name stands for."""
    block_entry: I64
    """First entry of each block; one value more at the end."""
    block_used: I64
    """Bytes of entries and names in the block, at most 4 KiB."""
    dir_inode: I64
    """Inode numbers of the directories, increasing."""
    dir_block: I64
    """First block of each directory; one value more at the end."""

    @property
    def tail(self) -> I64:
        """Bytes in the last block of each directory."""
        return self.block_used[self.dir_block[1:] - 1]

    @property
    def size(self) -> I64:
        """Bytes of each directory: whole blocks and the tail."""
        return (np.diff(self.dir_block) - 1) * BLOCK + self.tail


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of the tree that are written: columns of `Tree`, names as start and length."""

    parent: I64
    child: I64
    start: I64
    length: I64


def left_out(tree: Tree, *, bottom: bool) -> npt.NDArray[np.bool_]:
    """Tell for every inode whether it is not written: whiteouts, in the image's bottom layer."""
    whiteout: npt.NDArray[np.bool_] = tree.inodes.flags & InodeFlag.WHITEOUT != 0
    return whiteout & bottom


def plan_directories(tree: Tree, *, bottom: bool) -> DirectoryPlan:
    """Sort the dot entries in and cut directories into blocks."""
    rows = _rows(tree, ~left_out(tree, bottom=bottom))
    source = np.frombuffer(tree.names + b"..", dtype=np.uint8)
    dirs = np.flatnonzero(tree.inodes.mode >> 12 == 4)
    count = np.bincount(rows.parent, minlength=len(tree.inodes.mode))[dirs]
    first = starts_of(count + 2)
    name, length, inode = _merge_dots(rows, source, dirs, first)
    cost = starts_of(length + erofs.DIRENT.itemsize)
    block_entry, dir_block = _cut(first, cost)
    return DirectoryPlan(
        source=source,
        entry_name=name,
        entry_length=length,
        entry_inode=inode,
        block_entry=block_entry,
        block_used=np.diff(cost[block_entry]),
        dir_inode=dirs,
        dir_block=dir_block,
    )


def _rows(tree: Tree, written: npt.NDArray[np.bool_]) -> _Rows:
    end = tree.name_end.astype(np.int64)
    start = np.concatenate([np.zeros(1, dtype=np.int64), end])[:-1]
    keep = written[tree.child]
    return _Rows(
        tree.parent[keep].astype(np.int64),
        tree.child[keep].astype(np.int64),
        start[keep],
        (end - start)[keep],
    )


def _merge_dots(rows: _Rows, source: U8, dirs: I64, first: I64) -> tuple[I64, I64, I64]:
    """Return name start, length and inode of all entries; `first` has each directory's first."""
    dir_of = np.searchsorted(dirs, rows.parent)
    before_dot, before_dots = _before_dots(rows, source)
    dot = first[:-1] + np.bincount(dir_of, before_dot, len(dirs)).astype(np.int64)
    dots = first[:-1] + np.bincount(dir_of, before_dots, len(dirs)).astype(np.int64) + 1
    # A row moves behind the dot entries of the directories before it, two each, and its own.
    place = np.arange(len(dir_of)) + 2 * dir_of + (~before_dot) + (~before_dots)
    name = np.empty(int(first[-1]), dtype=np.int64)
    length, inode = np.empty_like(name), np.empty_like(name)
    name[place], length[place], inode[place] = rows.start, rows.length, rows.child
    name[dot], length[dot], inode[dot] = len(source) - 2, 1, dirs
    name[dots], length[dots], inode[dots] = len(source) - 2, 2, _parents(rows, dirs)
    return name, length, inode


def _before_dots(rows: _Rows, source: U8) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell which names sort before `.` and which before `..`. No name is `.` or empty."""
    head = source[rows.start]
    before_dot = head < _DOT
    # The byte after a one-byte name is another name's, but such a name is not a dot.
    return before_dot, before_dot | ((head == _DOT) & (source[rows.start + 1] < _DOT))


def _parents(rows: _Rows, dirs: I64) -> I64:
    """Return the directory above each directory; the root is its own."""
    parent = np.zeros(int(dirs[-1]) + 1, dtype=np.int64)
    known = rows.child < len(parent)
    parent[rows.child[known]] = rows.parent[known]
    return parent[dirs]


def _cut(first: I64, cost: I64) -> tuple[I64, I64]:
    """Fill blocks greedily: (first entry of each block, first block of each directory)."""
    large = np.flatnonzero(np.diff(cost[first]) > BLOCK)
    more = {index: _cut_large(first[index], first[index + 1], cost) for index in large.tolist()}
    blocks = np.ones(len(first) - 1, dtype=np.int64)
    for index, cuts in more.items():
        blocks[index] += len(cuts)
    extra = [np.array(cuts, dtype=np.int64) for cuts in more.values()]
    return np.sort(np.concatenate([first, *extra])), starts_of(blocks)


def _cut_large(entry: int, end: int, cost: I64) -> list[int]:
    """Return the first entries of all blocks of a directory but its first."""
    cuts = []
    while cost[end] - cost[entry] > BLOCK:
        entry = int(cost.searchsorted(cost[entry] + BLOCK, side="right")) - 1
        cuts.append(entry)
    return cuts
