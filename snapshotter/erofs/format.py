"""The EROFS on-disk structures that we write: numbers, names and numpy types. Nothing acts here.

Names follow the specification, Linux `fs/erofs/erofs_fs.h` and "Core on-disk format" of the EROFS
documentation (https://erofs.docs.kernel.org). All integers are little-endian.

    block 0   1,024 bytes unused | superblock (128) | device table | inodes ...
    ...       inodes, each with its inline xattrs and the inline tail of its data or, in a
              hot layout, the table of its chunks
    ...       shared xattrs, from a block boundary
    ...       whole blocks of directories and long symlinks
    end       nothing: the contents of regular files are on extra devices: the data area and,
              in a hot layout, the hot area

What is not used: compact inodes (they have no mtime of their own), compression, fragments, long
xattr prefixes, the xattr name filter.
"""

from enum import IntEnum
from typing import Final

import numpy as np

SUPER_OFFSET: Final = 1024
SUPER_MAGIC: Final = 0xE0F5E1E2
BLOCK_BITS: Final = 12
SLOT: Final = 32
"""Inodes lie on multiples of this; a node number (nid) counts them from `meta_blkaddr`, here 0."""
NAME_LEN: Final = 255

FEATURE_COMPAT_SB_CHKSUM: Final = 0x1
FEATURE_COMPAT_MTIME: Final = 0x2
FEATURE_INCOMPAT_CHUNKED_FILE: Final = 0x4
FEATURE_INCOMPAT_DEVICE_TABLE: Final = 0x8

SUPER_BLOCK: Final = np.dtype(
    [
        ("magic", "<u4"),
        ("checksum", "<u4"),
        ("feature_compat", "<u4"),
        ("blkszbits", "u1"),
        ("sb_extslots", "u1"),
        ("root_nid", "<u2"),
        ("inos", "<u8"),
        ("build_time", "<u8"),
        ("build_time_nsec", "<u4"),
        ("blocks", "<u4"),
        ("meta_blkaddr", "<u4"),
        ("xattr_blkaddr", "<u4"),
        ("uuid", "V16"),
        ("volume_name", "V16"),
        ("feature_incompat", "<u4"),
        ("u1", "<u2"),
        ("extra_devices", "<u2"),
        ("devt_slotoff", "<u2"),
        ("dirblkbits", "u1"),
        ("xattr_prefix_count", "u1"),
        ("xattr_prefix_start", "<u4"),
        ("packed_nid", "<u8"),
        ("xattr_filter_reserved", "u1"),
        ("reserved2", "V23"),
    ]
)

DEVICE_SLOT: Final = np.dtype(
    [("tag", "V64"), ("blocks", "<u4"), ("mapped_blkaddr", "<u4"), ("reserved", "V56")]
)

INODE: Final = np.dtype(
    [
        ("i_format", "<u2"),
        ("i_xattr_icount", "<u2"),
        ("i_mode", "<u2"),
        ("i_reserved", "<u2"),
        ("i_size", "<u8"),
        ("i_u", "<u4"),
        ("i_ino", "<u4"),
        ("i_uid", "<u4"),
        ("i_gid", "<u4"),
        ("i_mtime", "<u8"),
        ("i_mtime_nsec", "<u4"),
        ("i_nlink", "<u4"),
        ("i_reserved2", "V16"),
    ]
)
"""`erofs_inode_extended`; `i_u` is the block address, or rdev of a device node."""

INODE_EXTENDED: Final = 1
"""Bit 0 of `i_format`; the data layout is in bits 1 to 3."""


class DataLayout(IntEnum):
    """Where the bytes of an inode are."""

    FLAT_PLAIN = 0
    """Consecutive blocks from `raw_blkaddr`."""
    FLAT_INLINE = 2
    """The same, but the bytes after the last whole block follow the inode and its xattrs."""
    CHUNK_BASED = 4
    """A table of chunk addresses follows the inode and its xattrs."""


CHUNK_FORMAT_INDEXES: Final = 0x20
"""In `i_u` of a chunk-based inode: its table has 8-byte entries. The low 5 bits, here 0, are the
chunk size as a power of two of blocks."""
CHUNK_INDEX: Final = np.dtype(
    [("startblk_hi", "<u2"), ("device_id", "<u2"), ("startblk_lo", "<u4")]
)
"""`erofs_inode_chunk_index`; the block is one of the device itself, not a unified address. The high
bits were `advise`, always 0, before Linux 6.15."""

DIRENT: Final = np.dtype(
    [("nid", "<u8"), ("nameoff", "<u2"), ("file_type", "u1"), ("reserved", "u1")]
)

FILE_TYPE: Final = np.array([0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7, 0, 6, 0, 0, 0], dtype=np.uint8)
"""File type of a directory entry by `st_mode >> 12` (the FT_* values every kernel fs shares)."""

XATTR_IBODY_HEADER: Final = np.dtype(
    [("h_name_filter", "<u4"), ("h_shared_count", "u1"), ("h_reserved2", "V7")]
)
XATTR_ENTRY: Final = np.dtype(
    [("e_name_len", "u1"), ("e_name_index", "u1"), ("e_value_size", "<u2")]
)
XATTR_ALIGN: Final = 4
XATTR_SHARED_MAX: Final = 255
"""Shared xattrs that one inode can name (`h_shared_count` is a byte)."""
XATTR_IBODY_MAX: Final = XATTR_IBODY_HEADER.itemsize + 4 * (0xFFFF - 1)
"""Bytes of the largest inline xattr area (`i_xattr_icount` has 16 bits)."""

XATTR_PREFIXES: Final = (
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
)
"""Name prefixes that are stored as a number."""
XATTR_ACLS: Final = {b"system.posix_acl_access": 2, b"system.posix_acl_default": 3}
"""Names that are a number as a whole."""
