"""The number that is kept beside a file and saves a look into it: plain, or how large. Pure.

A list of a directory has the label of every file, and so tells manifests from plain files, and what
size they stand for, without reading a byte of them. It is a hint: who opens a file reads it.
"""

import struct
from dataclasses import dataclass
from typing import Final

from fuse_hdfs.checksums import crc32c

_SIZE_BITS: Final = 44
_PLAIN: Final = (1 << _SIZE_BITS) - 1
_CHECK: Final = (1 << 17) - 1
_MARK: Final = 1 << 61


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file of the store is."""

    size: int | None
    """Bytes of the striped file; None: it is a plain one."""


def label_of(kind: Kind, stored: int) -> int:
    """Return the label of a file of `stored` bytes; 0 if there is none for it."""
    if kind.size is not None and kind.size >= _PLAIN:
        return 0
    field = _PLAIN if kind.size is None else kind.size
    return _MARK | _check(field, stored) << _SIZE_BITS | field


def kind_in(label: int, stored: int) -> Kind | None:
    """Return what a label says of a file of `stored` bytes; None if it is not its label."""
    field = label & _PLAIN
    if label != _MARK | _check(field, stored) << _SIZE_BITS | field:
        return None
    return Kind(None if field == _PLAIN else field)


def _check(field: int, stored: int) -> int:
    return crc32c(struct.pack("<QQ", field, stored)) & _CHECK
