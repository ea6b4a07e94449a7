"""Regular files as the extents tell them: size and place of a file need not be stored twice.

A file without holes is one extent that starts where the file does. It is then stored as the number
of that extent, relative to the file before it; in most layers the next file has the next extent.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from snapshotter.layers.checks import refuse_rows
from snapshotter.layers.columns import Column, unzigzag, zigzag
from snapshotter.layers.records import BLOCK, U64, Extents, Inodes

FILES: Final = (Column("step", "u8"), Column("size", "u8"), Column("block", "u4"))
"""`step`: from the last file that has an extent to this one's, zigzag; 0: this one has none.
`size`: minus the extent's length where there is one. `block`: where there is none."""


def split_files(inodes: Inodes, extents: Extents) -> dict[str, npt.NDArray[Any]]:
    """Return the columns `FILES` for the regular files, in inode order."""
    regular = inodes.mode >> 12 == 8
    size, data = inodes.size[regular], inodes.data[regular]
    extent = np.searchsorted(extents.data, data)
    found = (size > 0) & (extent < len(extents.data))
    found[found] = extents.data[extent[found]] == data[found]
    found[found] = np.diff(extent[found], prepend=-1) != 0
    step = np.zeros(len(size), dtype=np.int64)
    step[found] = np.diff(extent[found], prepend=-1)
    known = np.zeros(len(size), dtype=np.uint64)
    known[found] = extents.length[extent[found]]
    block = np.where(found, 0, data // BLOCK)
    return {"step": zigzag(step.view(np.uint64)), "size": size - known, "block": block}


def join_files(columns: Mapping[str, npt.NDArray[Any]], extents: Extents) -> tuple[U64, U64]:
    """Return (size, data offset) of the regular files. Raises `CorruptError`."""
    step = unzigzag(columns["step"])
    found = step != 0
    extent = np.cumsum(step, dtype=np.uint64)[found] - np.uint64(1)
    refuse_rows(extent >= len(extents.data), "files.step", "leads to no extent")
    size = columns["size"].astype(np.uint64)
    data = columns["block"].astype(np.uint64) * np.uint64(BLOCK)
    size[found] += extents.length[extent]
    data[found] = extents.data[extent]
    return size, data
