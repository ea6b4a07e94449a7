"""The files of a layer while its entries are applied: inodes in columns, directories as dicts.

Columns of machine numbers, because a layer may have millions of inodes and an object for each
would cost ten times the memory. Node 0 is the root. A node that lost its last name stays in the
columns, unreachable.
"""

from array import array
from stat import S_IFDIR, S_IFLNK, S_IFMT
from typing import Final

from bootseer.errors import CorruptError
from snapshotter.layers.records import InodeFlag
from snapshotter.layers.tar import acl
from snapshotter.limits import Limits

ROOT: Final = 0
_S_ISGID: Final = 0o2000


class Directory:
    """What a directory has beyond an inode."""

    __slots__ = ("children", "depth", "reach")

    def __init__(self, depth: int, reach: int) -> None:
        self.children: dict[bytes, int] = {}
        self.depth = depth
        """Directories above, the root included."""
        self.reach = reach
        """Bytes of its path from the root, with a slash behind each name."""


class Nodes:
    """Inodes by number, one column an attribute; see `records.Inodes` for their meaning."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.mode = array("I")
        self.uid = array("I")
        self.gid = array("I")
        self.mtime_s = array("q")
        self.mtime_ns = array("I")
        self.size = array("Q")
        self.rdev = array("I")
        self.data = array("Q")
        self.flags = array("B")
        self.directories: dict[int, Directory] = {}
        self.targets: dict[int, bytes] = {}
        """Symlinks only."""
        self.xattrs: dict[int, dict[bytes, bytes]] = {}
        """Only nodes that ever had any."""
        self._links = 0
        self._append(S_IFDIR | 0o755, 0)
        self.directories[ROOT] = Directory(0, 0)

    def make(self, parent: int, name: bytes, mode: int, flags: int = 0) -> int:
        """Make a node and give it a name that is free. Raises `CorruptError` beyond a limit.

        As the kernel does it: the group comes from a parent with the set-group-id bit, and ACLs
        from a parent with a default ACL.
        """
        directory = self.directories[parent]
        self._check_name(name)
        node = self._append(mode, flags)
        if S_IFMT(mode) == S_IFDIR:
            self.directories[node] = self._below(directory, name)
        if self.mode[parent] & _S_ISGID:
            self.gid[node] = self.gid[parent]
        default = self.xattrs[parent].get(acl.DEFAULT) if parent in self.xattrs else None
        if default is not None and S_IFMT(mode) != S_IFLNK:
            self.xattrs[node] = acl.inherited(default, directory=node in self.directories)
            self.chmod(node, mode)
        directory.children[name] = node
        return node

    def link(self, node: int, parent: int, name: bytes) -> None:
        """Give a node another name that is free. Raises `CorruptError` beyond a limit."""
        self._check_name(name)
        self._check_count()
        self._links += 1
        self.directories[parent].children[name] = node

    def make_parent(self, parent: int, name: bytes) -> int:
        """Make a directory that has no entry of its own."""
        return self.make(parent, name, S_IFDIR | 0o755, InodeFlag.IMPLICIT)

    def chmod(self, node: int, mode: int) -> None:
        """Set the permission bits, in the access ACL too where there is one."""
        self.mode[node] = S_IFMT(self.mode[node]) | mode & 0o7777
        attributes = self.xattrs.get(node)
        if attributes and acl.ACCESS in attributes:
            entries = acl.parse(attributes[acl.ACCESS])
            attributes[acl.ACCESS] = acl.encode(acl.chmod(entries, mode))

    def _append(self, mode: int, flags: int) -> int:
        node = len(self.mode)
        self._check_count()
        self.mode.append(mode)
        for column in (self.uid, self.gid, self.mtime_ns, self.rdev, self.size, self.data):
            column.append(0)
        self.mtime_s.append(0)
        self.flags.append(flags)
        return node

    def _check_count(self) -> None:
        if len(self.mode) + self._links >= self._limits.entries:
            raise CorruptError(f"a layer with more than {self._limits.entries} files")

    def _check_name(self, name: bytes) -> None:
        if len(name) > self._limits.name:
            raise CorruptError(f"a name of {len(name)} bytes in a layer")

    def _below(self, directory: Directory, name: bytes) -> Directory:
        made = Directory(directory.depth + 1, directory.reach + len(name) + 1)
        if made.depth > self._limits.depth or made.reach > self._limits.path:
            raise CorruptError(f"a directory {made.depth} deep, {made.reach} bytes from the root")
        return made
