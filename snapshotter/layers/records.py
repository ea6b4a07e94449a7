"""What is known of one layer: its file tree, and how the bytes of its files are found.

Pure data in columns (numpy arrays), because a layer has 10^4 to 10^6 files and is looked at as a
whole: written to an index, checked, turned into EROFS metadata. Nothing here reads or parses.

Three address spaces
    *blob*: bytes of the layer as it lies in the registry (compressed).
    *tar*: bytes of the uncompressed layer.
    *data area*: the regular files' contents alone, in tar order, each file starting on a 4 KiB
    boundary, gaps are zeros. The data area is what the block file serves and EROFS maps.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

U8: TypeAlias = npt.NDArray[np.uint8]
U32: TypeAlias = npt.NDArray[np.uint32]
U64: TypeAlias = npt.NDArray[np.uint64]
I64: TypeAlias = npt.NDArray[np.int64]

BLOCK: Final = 4096
"""Block size of data area, EROFS and Merkle tree, in bytes."""

XattrSet: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Extended attributes of an inode: (full name with its namespace prefix, value), sorted by name."""


class Codec(IntEnum):
    """How a chunk's bytes lie in the blob."""

    RAW = 0
    """As they are (uncompressed tar)."""
    DEFLATE = 1
    """Inside a raw deflate stream (RFC 1951), entered at a bit offset with a window."""
    ZSTD = 2
    """Whole zstd frames (RFC 8878)."""
    GZIP = 3
    """Whole gzip members (RFC 1952), headers included."""


class Proof(IntEnum):
    """Of which bytes of a chunk its digest is. Ours are DATA, other formats have the others."""

    DATA = 0
    """The chunk's bytes of the data area, zero padding included."""
    TAR = 1
    """The chunk's bytes of the tar: its file contents, where these are all that it spans."""
    BLOB = 2
    """The chunk's payload in the blob, with the byte that it shares with the next chunk, if any."""


class InodeFlag(IntFlag):
    """What the mode cannot say. Resolved when the EROFS metadata is written."""

    WHITEOUT = 1
    """Made by a `.wh.` name: hides the name in layers below (mode is S_IFCHR, rdev 0)."""
    IMPLICIT = 2
    """A directory with no entry of its own in the layer, only children."""
    OPAQUE = 4
    """A directory marked by `.wh..wh..opq`: hides the contents of the one below."""


@dataclass(frozen=True, slots=True, eq=False)
class Inodes:
    """One row an inode; row 0 is the root directory.

    Inodes are numbered in the order in which `Tree` names them first.
    """

    mode: U32
    """st_mode, type bits included."""
    uid: U32
    gid: U32
    mtime_s: I64
    """Seconds since the epoch, 0 or more."""
    mtime_ns: U32
    """Nanoseconds, below 10^9."""
    size: U64
    """Regular files: length. Symlinks: length of the target. Otherwise 0."""
    rdev: U32
    """Device nodes: (minor & 0xff) | major << 8 | (minor & ~0xff) << 12. Otherwise 0."""
    data: U64
    """Regular files that are not empty: offset in the data area, in whole 4 KiB. Otherwise 0."""
    nlink: U32
    """Names of this inode in the layer; directories: 2 + subdirectories."""
    flags: U8
    """`InodeFlag` bits."""
    xattrs: U32
    """Index into `Tree.xattr_sets`; 0 is the empty set."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A layer's files after all tar entries were applied, breadth first.

    One row a name in `parent`/`child`/`name_end`: rows are sorted by (parent, name as bytes), so
    the names of one directory are neighbours. The root has no row. Law: walking the rows, `child`
    is either the next inode number never seen before (1, 2, 3, ...) or, for a hard link, one
    already seen that is not a directory; and `parent` is a directory seen earlier.
    """

    inodes: Inodes
    parent: U32
    """Inode of the directory that holds the name; never decreases from row to row."""
    child: U32
    """Inode that the name stands for."""
    name_end: U64
    """Where the name ends in `names`; it starts where the row before ends."""
    names: bytes
    targets: bytes
    """Symlink targets, concatenated in inode order (lengths are in `Inodes.size`)."""
    xattr_sets: tuple[XattrSet, ...]
    """Distinct sets of extended attributes; the first is empty."""


@dataclass(frozen=True, slots=True, eq=False)
class Extents:
    """Where file contents lie: one row a run of bytes, sorted by both offsets, never overlapping.

    A byte of the data area that no extent covers is zero.
    """

    data: U64
    """Offset in the data area."""
    tar: U64
    """Offset in the uncompressed layer."""
    length: U64


@dataclass(frozen=True, slots=True, eq=False)
class ChunkTable:
    """The units in which a layer is fetched and verified, in blob order. n rows.

    Chunks tile all three address spaces: chunk i spans `[blob[i], blob[i+1])` of the blob,
    `[tar[i], tar[i+1])` of the uncompressed layer and `[data[i], data[i+1])` of the data area, so
    each of these columns has n + 1 values, the first 0 and the last the total size.
    """

    blob: U64
    """n + 1 values. A DEFLATE chunk may need one byte past its end (deflate is cut at bits)."""
    tar: U64
    """n + 1 values."""
    data: U64
    """n + 1 values. A cut inside a file's bytes is exact; otherwise it is the next file's start."""
    digest: U8
    """n x 32: SHA-256 of the chunk's bytes, see `proof`."""
    codec: U8
    """`Codec` of each chunk."""
    skip: U32
    """Bytes from `blob[i]` to the byte in which the payload starts (a gzip header, say)."""
    bits: U8
    """DEFLATE: bits of that byte that belong to the chunk before (0 to 7)."""
    window: U64
    """n + 1 values: window i is `[window[i], window[i+1])` of the windows blob, a zstd frame;
    empty where the chunk needs none."""
    proof: Proof = Proof.DATA
    """Of all chunks. Only DATA proves what every byte is that a reader gets: with the others, what
    a chunk is made of is proven, and what is made of it follows from the index."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerIndex:
    """All that a node needs to serve a layer lazily."""

    layer_digest: str
    """`sha256:...` of the blob, as the image manifest names it."""
    layer_size: int
    """Bytes of the blob."""
    diff_id: str
    """`sha256:...` of the uncompressed layer."""
    merkle_root: bytes
    """Root hash of the fs-verity Merkle tree (SHA-256, 4 KiB blocks, no salt) of the data area.
    NULs: nobody has computed it."""
    windows_digest: str
    """`sha256:...` of the windows blob; empty where no chunk has a window."""
    tree: Tree
    extents: Extents
    chunks: ChunkTable

    @property
    def data_size(self) -> int:
        """Bytes of the data area, a multiple of 4 KiB."""
        return int(self.chunks.data[-1])


@dataclass(frozen=True, slots=True, eq=False)
class BlockMap:
    """The part of a `LayerIndex` that serving the data area needs: the tree is left out."""

    layer_digest: str
    layer_size: int
    merkle_root: bytes
    windows_digest: str
    extents: Extents
    chunks: ChunkTable

    @property
    def data_size(self) -> int:
        """Bytes of the data area, a multiple of 4 KiB."""
        return int(self.chunks.data[-1])
