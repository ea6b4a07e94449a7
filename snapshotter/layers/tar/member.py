"""One entry of a tar stream, headers resolved, as the reader hands it to whoever applies it."""

from enum import IntEnum
from typing import Final, NamedTuple

from snapshotter.layers.tar.fields import FieldError

_MAX_DEVICE: Final = (1 << 32) - 1


class Kind(IntEnum):
    """What an entry asks for, in the words of POSIX pax; values are the type flags."""

    FILE = ord("0")
    HARDLINK = ord("1")
    SYMLINK = ord("2")
    CHARACTER = ord("3")
    BLOCK = ord("4")
    DIRECTORY = ord("5")
    FIFO = ord("6")
    GLOBAL = ord("g")
    """A global PAX header: it sets nothing, but containerd acts on its name."""
    UNKNOWN = 0x100
    """Any other type flag: refused unless the name alone decides (a whiteout, the root)."""


WITHOUT_DATA = frozenset(
    (Kind.HARDLINK, Kind.SYMLINK, Kind.CHARACTER, Kind.BLOCK, Kind.DIRECTORY, Kind.FIFO)
)
"""Kinds whose size field skips no data in the stream."""


class Run(NamedTuple):
    """A piece of a file's content that lies in the stream."""

    offset: int
    """Where it begins in the file, in bytes."""
    tar_offset: int
    """Where it begins in the uncompressed layer."""
    length: int


class Member(NamedTuple):
    """One entry. A tuple and not a dataclass: layers have 10^5 of them and this is the cheapest.

    Names are bytes as they stand in the stream, neither cleaned nor split; numbers are as
    written, so that `uid` may be negative and `mtime` beyond any file system's range.
    """

    path: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime_s: int
    mtime_ns: int
    """0 to 10^9 - 1, added to `mtime_s`."""
    size: int
    """Files: length with holes. Everything else: whatever the header says."""
    linkname: bytes
    rdev: int
    """Device nodes, encoded as in `records.Inodes.rdev`."""
    xattrs: tuple[tuple[bytes, bytes], ...]
    """(full name, value) as the PAX header lists them, unfiltered."""
    runs: tuple[Run, ...]
    """Files: where the content lies, in both orders; what no run covers is a hole."""
    tar_offset: int
    """Where the entry's last header begins: for messages."""


def device_number(major: int, minor: int) -> int:
    """Encode a device number as Linux does in 32 bits, which keep 12 of major and 20 of minor.

    Raises `FieldError` where one is no number of 32 bits.
    """
    if not (0 <= major <= _MAX_DEVICE and 0 <= minor <= _MAX_DEVICE):
        raise FieldError(f"device number {major}:{minor}")
    return minor & 0xFF | (major & 0xFFF) << 8 | (minor & 0xFFF00) << 12
