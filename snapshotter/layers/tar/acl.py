"""POSIX ACLs in extended attributes, as Linux sets, inherits and chmods them.

Format: version 2 of `linux/posix_acl_xattr.h`: a 32-bit version, then entries of 16-bit tag,
16-bit permissions, 32-bit id, little endian. Semantics: POSIX 1003.1e draft 17, and acl(5).
Pure functions on bytes.
"""

import re
from struct import Struct
from typing import Final, NamedTuple

from snapshotter.layers.tar.fields import FieldError

ACCESS: Final = b"system.posix_acl_access"
DEFAULT: Final = b"system.posix_acl_default"

_VERSION: Final = Struct("<I")
_ENTRY: Final = Struct("<HHI")
_NOBODY: Final = 0xFFFFFFFF

_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_TAGS: Final = (_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER)
# The owner first, everybody else last; a mask wherever somebody is named.
_ORDER = re.compile(rb"\x01(?:\x02*\x04\x08*\x10|\x04)\x20").fullmatch


class Entry(NamedTuple):
    """One line of an ACL."""

    tag: int
    permissions: int
    id: int


def supported(value: bytes) -> bool:
    """Say whether this is the version that Linux takes; it ignores requests to set another."""
    return len(value) < _VERSION.size or _VERSION.unpack_from(value)[0] == 2


def parse(value: bytes) -> tuple[Entry, ...]:
    """Read an ACL; one without entries asks for its removal. Raises `FieldError`."""
    if not value:
        return ()
    body = value[_VERSION.size :]
    if len(value) < _VERSION.size or len(body) % _ENTRY.size:
        raise FieldError("a POSIX ACL has an impossible length")
    entries = tuple(Entry(*fields) for fields in _ENTRY.iter_unpack(body))
    for tag, _, id_ in entries:
        if tag not in _TAGS:
            raise FieldError(f"a POSIX ACL has an unknown tag {tag}")
        if tag in (_USER, _GROUP) and id_ == _NOBODY:
            raise FieldError("a POSIX ACL names nobody")
    return entries


def check(entries: tuple[Entry, ...]) -> None:
    """Raise `FieldError` unless Linux would set this ACL on a file."""
    if any(entry.permissions > 7 for entry in entries):
        raise FieldError("a POSIX ACL has unknown permissions")
    if entries and not _ORDER(bytes(entry.tag for entry in entries)):
        raise FieldError("a POSIX ACL's entries are incomplete or out of order")


def encode(entries: tuple[Entry, ...]) -> bytes:
    """Write an ACL as the kernel shows it: entries that name nobody have an id of all ones."""
    return _VERSION.pack(2) + b"".join(
        _ENTRY.pack(tag, permissions, id_ if tag in (_USER, _GROUP) else _NOBODY)
        for tag, permissions, id_ in entries
    )


def is_mode_only(entries: tuple[Entry, ...]) -> bool:
    """Say whether the ACL holds no more than permission bits do; Linux then stores none."""
    return not any(entry.tag in (_USER, _GROUP, _MASK) for entry in entries)


def chmod(entries: tuple[Entry, ...], mode: int) -> tuple[Entry, ...]:
    """Return the ACL after chmod(2): the group bits go to the mask where there is one."""
    has_mask = any(entry.tag == _MASK for entry in entries)
    bits = {
        _USER_OBJ: mode >> 6 & 7,
        _MASK if has_mask else _GROUP_OBJ: mode >> 3 & 7,
        _OTHER: mode & 7,
    }
    return tuple(
        entry._replace(permissions=bits.get(entry.tag, entry.permissions)) for entry in entries
    )


def inherited(default: bytes, *, directory: bool) -> dict[bytes, bytes]:
    """Return the ACL attributes of something new in a directory with this default ACL.

    The permissions of owner, mask and others are the default's still; chmod comes after.
    """
    entries = parse(default)
    attributes = {} if is_mode_only(entries) else {ACCESS: encode(entries)}
    if directory:
        attributes[DEFAULT] = default
    return attributes
