"""Link counts as the names of a tree give them, and the numbers that hard links repeat."""

import numpy as np
import numpy.typing as npt

from snapshotter.layers.records import U32

_DIRECTORY = 4
"""File type as `st_mode >> 12`."""


def first_names(child: U32) -> npt.NDArray[np.bool_]:
    """Tell for every row whether it names a number that no row before it reached."""
    before = np.zeros(len(child), dtype=np.uint32)
    np.maximum.accumulate(child[:-1], out=before[1:])
    return np.asarray(child > before)


def link_counts(mode: U32, parent: U32, child: U32) -> U32:
    """Return `nlink` of every inode: its names; of directories 2 + subdirectories.

    Numbers in `parent` and `child` must exist.
    """
    count = len(mode)
    is_dir = mode >> 12 == _DIRECTORY
    names = np.bincount(child, minlength=count)
    subdirs = np.bincount(parent[is_dir[child]], minlength=count)
    return np.where(is_dir, 2 + subdirs, names).astype(np.uint32)
