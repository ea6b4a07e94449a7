"""Which blocks of a hot area were ever read through a mount. Runs in a worker process.

Counting reads of the area's file can't say: what was put into its page cache, and what is read from
the local file, asks nobody. But whatever a container reads of a file goes through the page cache of
that file on the EROFS mount, however the bytes got there; and the kernel tells what is in it.

It says a little too much where the mount reads ahead, and too little where pages were dropped by
hand (`drop_caches`), or so long ago that the kernel has forgotten them.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.erofs.cachestat import pages_seen
from snapshotter.hot.owners import NOBODY, Paths, file_map, owners
from snapshotter.layers.format import decode
from snapshotter.layers.records import BLOCK, I64, LayerIndex
from snapshotter.limits import Limits


@dataclass(frozen=True, slots=True)
class HotMount:
    """A mount of a layer in a hot layout."""

    index: Path
    """The layer's index."""
    blocks: Path
    """Numbers in the data area of the blocks in the hot area, int64."""
    target: Path
    """Where it is mounted."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hot blocks one behind the other in one file."""

    inode: int
    """As the index numbers it."""
    first: int
    """Block of the file."""
    count: int


def used_blocks_of_all(mounts: Sequence[HotMount], limits: Limits) -> list[int | str]:
    """Return `used_blocks` of each, or why that is not known."""

    def one(mount: HotMount) -> int | str:
        try:
            return used_blocks(mount, limits)
        except (OSError, CorruptError) as error:
            return str(error)

    return [one(mount) for mount in mounts]


def used_blocks(mount: HotMount, limits: Limits) -> int:
    """Return how many blocks of the hot area were read through the mount (a count).

    Raises:
        OSError: it is not mounted (any more), or the kernel is older than 6.5.
        CorruptError: the index is not one.
    """
    index = decode(mount.index.read_bytes(), limits)
    paths, used = Paths(index.tree, limits), 0
    for stretch in stretches(index, np.fromfile(mount.blocks, dtype="<i8").astype(np.int64)):
        used += _pages(mount.target / os.fsdecode(paths.of(stretch.inode)), stretch)
    return used


def _pages(path: Path, stretch: Stretch) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        seen = pages_seen(descriptor, stretch.first * BLOCK, stretch.count * BLOCK)
    finally:
        os.close(descriptor)
    return min(seen, stretch.count)


def stretches(index: LayerIndex, blocks: I64) -> Iterator[Stretch]:
    """Yield where hot blocks lie in files, by block number; those of no file are left out. Pure."""
    blocks = np.sort(blocks)
    inodes = index.tree.inodes
    inode = owners(file_map(inodes), blocks)
    new = (np.diff(blocks, prepend=-2) != 1) | (np.diff(inode, prepend=-1) != 0)
    starts = np.flatnonzero(new)
    counts = np.diff(starts, append=len(blocks))
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        owner = int(inode[start])
        if owner != NOBODY:
            first = int(blocks[start]) - int(inodes.data[owner]) // BLOCK
            yield Stretch(owner, first, count)
