"""Extended attributes of a whole layer: encoded once a distinct set, common entries shared.

An entry (name and value) that two or more inodes carry goes to the shared area and costs them
4 bytes each. That keeps metadata proportional to the index it was made from: an index can give one
60 KiB set to a million files.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.erofs import format as erofs
from snapshotter.erofs.options import Options
from snapshotter.erofs.runs import starts_of
from snapshotter.layers.records import I64, InodeFlag, Tree, XattrSet

_Entry = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class XattrPlan:
    """Inline areas, one a distinct set, and the area they share."""

    of_inode: I64
    """Row of `start` and `size` for every inode."""
    start: I64
    """Where the set's inline area starts in `bodies`."""
    size: I64
    """Bytes of the set's inline area, 0 for the empty set; a multiple of 4."""
    bodies: bytes
    shared: bytes
    """Content of the shared area; references count 4-byte units from its start."""


def encode_entry(name: bytes, value: bytes) -> bytes:
    """Return one `erofs_xattr_entry` with name and value, padded to 4 bytes.

    Raises `CorruptError` for a namespace or a length that EROFS cannot express.
    """
    index, rest = _split(name)
    if len(rest) > erofs.NAME_LEN or len(value) > 0xFFFF:
        raise CorruptError(
            f"extended attribute {name[:64]!r}: name of {len(name)} or value of {len(value)} bytes"
            " is too long"
        )
    entry = struct.pack("<BBH", len(rest), index, len(value)) + rest + value
    return entry + bytes(-len(entry) % erofs.XATTR_ALIGN)


def _split(name: bytes) -> tuple[int, bytes]:
    if name in erofs.XATTR_ACLS:
        return erofs.XATTR_ACLS[name], b""
    for prefix, index in erofs.XATTR_PREFIXES:
        if name.startswith(prefix) and len(name) > len(prefix):
            return index, name[len(prefix) :]
    raise CorruptError(
        f"extended attribute {name[:64]!r}: namespace unknown to EROFS",
        hint="user., trusted., security. and POSIX ACLs can be stored",
    )


def plan_xattrs(tree: Tree, options: Options) -> XattrPlan:
    """Encode every distinct set of attributes that the tree's inodes carry.

    Opaque directories get `options.opaque_xattrs`. Raises `CorruptError` where a set does not fit.
    """
    opaque = np.zeros(len(tree.inodes.mode), dtype=np.int64)
    if not options.bottom:
        opaque = (tree.inodes.flags & InodeFlag.OPAQUE != 0).astype(np.int64)
    keys, of_inode, users = np.unique(
        tree.inodes.xattrs.astype(np.int64) * 2 + opaque, return_inverse=True, return_counts=True
    )
    sets = [_entries(tree.xattr_sets[key >> 1], key & 1, options) for key in keys.tolist()]
    shared_at, shared = _share(sets, users.tolist())
    bodies = [_body(entries, shared_at) for entries in sets]
    size = np.array([len(body) for body in bodies], dtype=np.int64)
    return XattrPlan(of_inode, starts_of(size)[:-1], size, b"".join(bodies), shared)


def _entries(own: XattrSet, opaque: int, options: Options) -> tuple[_Entry, ...]:
    if not opaque:
        return own
    marks = tuple((name, b"y") for name in options.opaque_xattrs)
    return tuple(entry for entry in own if entry[0] not in options.opaque_xattrs) + marks


def _share(
    sets: Sequence[tuple[_Entry, ...]], users: Sequence[int]
) -> tuple[dict[_Entry, int], bytes]:
    """Place every entry with two or more users: (offset of each, content)."""
    uses: dict[_Entry, int] = {}
    for entries, count in zip(sets, users, strict=True):
        for entry in entries:
            uses[entry] = uses.get(entry, 0) + count
    area = bytearray()
    at: dict[_Entry, int] = {}
    for entry, count in uses.items():
        if count > 1:
            at[entry] = len(area)
            area += encode_entry(*entry)
    return at, bytes(area)


def _body(entries: tuple[_Entry, ...], shared_at: dict[_Entry, int]) -> bytes:
    if not entries:
        return b""
    shared = [entry for entry in entries if entry in shared_at][: erofs.XATTR_SHARED_MAX]
    by_reference = set(shared)
    references = [shared_at[entry] // erofs.XATTR_ALIGN for entry in shared]
    body = struct.pack(f"<IB7x{len(references)}I", 0, len(references), *references) + b"".join(
        encode_entry(*entry) for entry in entries if entry not in by_reference
    )
    if len(body) > erofs.XATTR_IBODY_MAX:
        raise CorruptError(f"extended attributes of one inode take {len(body)} bytes, too many")
    return body
