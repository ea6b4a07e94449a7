"""Owner, mode, times and extended attributes of an entry, put on an inode as Linux would.

containerd calls lchown, lsetxattr, chmod and utimensat in this order and ignores some of the
errors; what is left of that in the tree is computed here.
"""

from stat import S_ISDIR, S_ISLNK, S_ISREG
from struct import Struct
from typing import Final

from snapshotter.layers.tar import acl
from snapshotter.layers.tar.fields import FieldError
from snapshotter.layers.tar.member import Member
from snapshotter.layers.tar.nodes import Nodes
from snapshotter.limits import Limits

CAPABILITY: Final = b"security.capability"

_U32: Final = (1 << 32) - 1
_MAX_TIME: Final = divmod((1 << 63) - 1, 1_000_000_000)
_XATTR_NAME_MAX: Final = 255
_CAPABILITY_HEAD: Final = Struct("<I")
_CAPABILITY_SIZES: Final = {0x02000000: 20, 0x03000000: 24}
_NAMESPACES: Final = (b"user.", b"security.")


def put(nodes: Nodes, node: int, member: Member, limits: Limits) -> None:
    """Give the node what the member's headers say. Raises `FieldError` if Linux refuses."""
    _chown(nodes, node, member)
    if member.xattrs:
        _set_xattrs(nodes, node, member.xattrs, limits)
    if not S_ISLNK(nodes.mode[node]):
        nodes.chmod(node, member.mode)
    set_mtime(nodes, node, member.mtime_s, member.mtime_ns)


def _chown(nodes: Nodes, node: int, member: Member) -> None:
    """The system call takes 32 bits, and all ones for "leave it"."""
    uid, gid = member.uid & _U32, member.gid & _U32
    if uid != _U32:
        nodes.uid[node] = uid
    if gid != _U32:
        nodes.gid[node] = gid


def set_mtime(nodes: Nodes, node: int, seconds: int, nanoseconds: int) -> None:
    """Set a modification time; what 63 bits of nanoseconds can't hold is 1970."""
    if not (seconds >= 0 and (seconds, nanoseconds) <= _MAX_TIME):
        seconds = nanoseconds = 0
    nodes.mtime_s[node] = seconds
    nodes.mtime_ns[node] = nanoseconds


def _set_xattrs(
    nodes: Nodes, node: int, wanted: tuple[tuple[bytes, bytes], ...], limits: Limits
) -> None:
    for name, value in wanted:
        if _counts(name, value, nodes.mode[node], limits):
            attributes = nodes.xattrs.setdefault(node, {})
            if name in (acl.ACCESS, acl.DEFAULT):
                _set_acl(nodes, node, name, value)
            else:
                attributes[name] = value
    total = sum(len(name) + len(value) for name, value in nodes.xattrs.get(node, {}).items())
    if total > limits.xattrs:
        raise FieldError(f"{total} bytes of extended attributes")


def _counts(name: bytes, value: bytes, mode: int, limits: Limits) -> bool:
    """Say whether the attribute is kept (True) or silently ignored. Raises `FieldError`."""
    if name.startswith(b"trusted."):
        return False
    if not 0 < len(name) <= _XATTR_NAME_MAX:
        raise FieldError(f"an extended attribute's name of {len(name)} bytes")
    if len(value) > limits.xattr_value:
        raise FieldError(f"extended attribute {name!r} of {len(value)} bytes")
    if name in (acl.ACCESS, acl.DEFAULT):
        if acl.supported(value):
            acl.parse(value)  # it is read before Linux finds out that a symlink takes none
            return not S_ISLNK(mode)
        return False
    if not name.startswith(_NAMESPACES):
        return False
    if name.startswith(b"user.") and not (S_ISREG(mode) or S_ISDIR(mode)):
        return False
    if name in _NAMESPACES:
        raise FieldError(f"extended attribute {name!r} has a namespace and no name")
    if name == CAPABILITY and value:  # Linux checks none that is empty
        _check_capability(value)
    return True


def _check_capability(value: bytes) -> None:
    """Revision 2 or 3 of `linux/capability.h`, `struct vfs_ns_cap_data`."""
    head = _CAPABILITY_HEAD.unpack_from(value)[0] if len(value) >= 4 else 0
    if _CAPABILITY_SIZES.get(head & 0xFF000000) != len(value):
        raise FieldError("a malformed security.capability")


def _set_acl(nodes: Nodes, node: int, name: bytes, value: bytes) -> None:
    entries = acl.parse(value)
    acl.check(entries)
    if name == acl.DEFAULT and entries and not S_ISDIR(nodes.mode[node]):
        raise FieldError("a default ACL on something that is not a directory")
    # What an access ACL says to the permission bits is overwritten by the chmod that follows.
    if not entries or (name == acl.ACCESS and acl.is_mode_only(entries)):
        nodes.xattrs[node].pop(name, None)
    else:
        nodes.xattrs[node][name] = acl.encode(entries)
