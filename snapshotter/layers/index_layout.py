"""Sections and columns of a layer index file (`docs/formats/layer-index.md`): what lies where."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from snapshotter.layers.checks import at_most
from snapshotter.layers.columns import Column, size_of
from snapshotter.layers.files import FILES
from snapshotter.layers.records import U64
from snapshotter.limits import Limits

TAR_BLOCK: Final = 512
REGULAR: Final = 8
"""Regular files, as `st_mode >> 12`."""


class Kind(IntEnum):
    """Kinds of sections."""

    META = 1
    INODES = 2
    FILES = 3
    ROWS = 4
    NAMES = 5
    XATTRS = 6
    EXTENTS = 7
    CHUNKS = 8
    PROOF = 9
    """Only in files of version 2: one byte, what digests are of (`records.Proof`)."""


META: Final = struct.Struct("<32s32s32s32sQ10Q")
"""Digests of layer, uncompressed layer, Merkle root and windows; layer size; `Counts`."""

INODES: Final = (
    Column("mode", "u2"),
    Column("uid", "u4"),
    Column("gid", "u4"),
    Column("mtime_s", "u8", delta=True),
    Column("mtime_ns", "u4"),
    Column("rdev", "u4"),
    Column("flags", "u1"),
    Column("xattrs", "u4"),
    Column("target", "u2"),
)
ROWS: Final = (Column("parent", "u4", delta=True), Column("link", "u4"), Column("length", "u1"))
XATTR_SETS: Final = (Column("entries", "u4"),)
XATTR_ENTRIES: Final = (Column("name", "u2"), Column("value", "u4"))
EXTENTS: Final = (Column("data_gap", "u8"), Column("tar_gap", "u8"), Column("length", "u8"))
CHUNKS: Final = (
    Column("blob", "u8"),
    Column("tar", "u8"),
    Column("data", "u8"),
    Column("window", "u8"),
    Column("codec", "u1"),
    Column("skip", "u4"),
    Column("bits", "u1"),
)
DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of everything there is, in the order in which META has it."""

    inodes: int
    files: int
    """Regular files among the inodes."""
    rows: int
    names: int
    """Bytes."""
    targets: int
    """Bytes."""
    xattr_sets: int
    xattr_entries: int
    xattr_bytes: int
    extents: int
    chunks: int

    def check(self, limits: Limits) -> None:
        """Raise `CorruptError` where a count is over its limit."""
        for name in ("inodes", "files", "rows", "extents"):
            at_most(f"meta.{name}", getattr(self, name), limits.entries)
        for name in ("xattr_sets", "xattr_entries"):
            at_most(f"meta.{name}", getattr(self, name), limits.xattr_entries)
        for name in ("names", "targets", "xattr_bytes"):
            at_most(f"meta.{name}", getattr(self, name), limits.index_section)
        at_most("meta.chunks", self.chunks, limits.chunks)

    def sizes(self) -> dict[Kind, int]:
        """Return how many bytes each section must have."""
        xattrs = size_of(XATTR_SETS, self.xattr_sets)
        xattrs += size_of(XATTR_ENTRIES, self.xattr_entries) + self.xattr_bytes
        return {
            Kind.META: META.size,
            Kind.INODES: size_of(INODES, self.inodes),
            Kind.FILES: size_of(FILES, self.files),
            Kind.ROWS: size_of(ROWS, self.rows),
            Kind.NAMES: self.names + self.targets,
            Kind.XATTRS: xattrs,
            Kind.EXTENTS: size_of(EXTENTS, self.extents),
            Kind.CHUNKS: size_of(CHUNKS, self.chunks) + DIGEST * self.chunks,
            Kind.PROOF: 1,
        }


def gaps(start: U64, length: U64, block: int) -> U64:
    """Return how far each run starts behind the one before, rounded up to `block`; wraps around."""
    before = np.zeros(1, dtype=np.uint64)
    steps: U64 = np.diff(start, prepend=before)
    gap: U64 = steps - np.concatenate([before, _rounded(length, block)])[:-1]
    return gap


def sum_gaps(gap: U64, length: U64, block: int) -> U64:
    """Undo `gaps`."""
    before = np.zeros(1, dtype=np.uint64)
    return np.cumsum(gap + np.concatenate([before, _rounded(length, block)])[:-1], dtype=np.uint64)


def _rounded(length: U64, block: int) -> U64:
    rounded: U64 = (length + np.uint64(block - 1)) // np.uint64(block) * np.uint64(block)
    return rounded
