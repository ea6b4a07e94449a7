"""Applies tar entries one after another, and ends with the tree that containerd would unpack.

containerd applies an image's first layer by deletion and every later one by leaving whiteouts for
overlayfs. Here nobody knows which one this layer will be (the same layer may be both), so the tree
is that of a later layer, and whoever mounts it as a first one leaves out `WHITEOUT` names and
`OPAQUE` marks. Where that would not give the tree that deletion gives, one tree can't be right
for both and the layer is refused, which means that containerd unpacks it itself:

- a whiteout of a name that the layer itself made before (containerd refuses it in later layers),
  twice, or followed by something below that name, or linked to in any way;
- an opaque mark on a directory with implicit directories below it.

Everything that containerd refuses is refused, with a `CorruptError` that names the entry.
"""

from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG
from typing import TYPE_CHECKING, Final, NoReturn

from bootseer.errors import CorruptError
from snapshotter.layers.records import InodeFlag, Tree
from snapshotter.layers.tar import attributes
from snapshotter.layers.tar.data_area import DataArea
from snapshotter.layers.tar.fields import FieldError
from snapshotter.layers.tar.flatten import flatten
from snapshotter.layers.tar.member import Kind, Member
from snapshotter.layers.tar.nodes import ROOT, Nodes
from snapshotter.layers.tar.resolve import Resolver, names_from_root
from snapshotter.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
_NOT_NAMES: Final = frozenset((b"", b".", b".."))


class TreeBuilder:
    """A layer's tree in the making. Not safe for several threads; useless after an error."""

    def __init__(self, area: DataArea, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._area = area
        self._nodes = Nodes(limits)
        self._resolver = Resolver(self._nodes, limits)
        self._parents: dict[bytes, int] = {}
        """Directory parts of entries' paths, as spelled, and what they meant; see `_remove`."""
        self._implicit = False
        self._looked_at = 0
        self._directory_times: list[tuple[bytes, int, int]] = []
        self._moved = False
        """Whether a directory's path may mean something else than when its entry came."""
        self._make: dict[Kind, Callable[[Member, int, bytes], None]] = {
            Kind.FILE: self._make_file,
            Kind.DIRECTORY: self._make_directory,
            Kind.SYMLINK: self._make_symlink,
            Kind.HARDLINK: self._make_hard_link,
            Kind.CHARACTER: self._make_special,
            Kind.BLOCK: self._make_special,
            Kind.FIFO: self._make_special,
            Kind.GLOBAL: self._make_nothing,
            Kind.UNKNOWN: self._refuse_kind,
        }

    def add(self, member: Member) -> None:
        """Apply the next entry; a file's contents get their place in the data area at once.

        Raises `CorruptError`.
        """
        try:
            self._apply(member)
        except FieldError as error:
            raise _refused(member, str(error)) from error
        except CorruptError as error:
            raise _refused(member, error.message, error.hint) from error

    def finish(self) -> Tree:
        """Return the tree after the last entry. Raises `CorruptError`."""
        if self._moved:
            self._repeat_directory_times()
        return flatten(self._nodes)

    def _apply(self, member: Member) -> None:
        place = self._locate(member.path)
        if place is None:
            return  # the root: containerd ignores its entry
        parent, name = place
        if name.startswith(_WHITEOUT):
            self._hide(parent, name)
            return
        nodes = self._nodes
        old = nodes.directories[parent].children.get(name)
        if old is not None:
            if member.kind is Kind.DIRECTORY and old in nodes.directories:
                self._merge(member, old)
                return
            self._remove(parent, name, old)
        self._make[member.kind](member, parent, name)

    # -- where an entry goes

    def _locate(self, path: bytes) -> tuple[int, bytes] | None:
        """Return the entry's directory and name; missing directories are made. None: the root."""
        stem = path.rstrip(b"/") if path.endswith(b"/") else path
        head, _, name = stem.rpartition(b"/")
        ordinary = name not in _NOT_NAMES and len(path) <= self._limits.path
        if ordinary:
            parent = self._parents.get(head)
            if parent is not None:
                return parent, name
        names = names_from_root(path)
        if not names:
            return None
        if len(path) > self._limits.path and sum(map(len, names)) + len(names) > self._limits.path:
            raise FieldError(f"a path of {len(path)} bytes")
        parent = self._parent(b"/".join(names[:-1]))
        if ordinary:
            self._parents[head] = parent
        return parent, names[-1]

    def _parent(self, path: bytes) -> int:
        """Return the directory that a clean path means, making what is missing."""
        node = ROOT
        for name in self._resolver.resolve(path):
            child = self._nodes.directories[node].children.get(name)
            if child is None:
                child = self._nodes.make_parent(node, name)
                self._implicit = True
            elif child not in self._nodes.directories:
                if self._nodes.flags[child] & InodeFlag.WHITEOUT:
                    _differs(f"{name!r} is whited out and then used as a directory")
                raise FieldError(f"its parent {name!r} is not a directory")
            node = child
        return node

    def _node_at(self, names: list[bytes]) -> int | None:
        """Return the node at a resolved path, or None."""
        node = ROOT
        for name in names:
            directory = self._nodes.directories.get(node)
            child = directory.children.get(name) if directory is not None else None
            if child is None:
                return None
            node = child
        return node

    # -- whiteouts

    def _hide(self, parent: int, name: bytes) -> None:
        """Apply a whiteout or an opaque mark, whatever its entry's type and contents."""
        if name == _OPAQUE:
            self._mark_opaque(parent)
            return
        hidden = name[len(_WHITEOUT) :]
        if hidden in _NOT_NAMES:
            raise FieldError("a whiteout that hides no name")
        if hidden in self._nodes.directories[parent].children:
            _differs("a whiteout of a name that the same layer has made")
        self._nodes.make(parent, hidden, S_IFCHR, InodeFlag.WHITEOUT)

    def _mark_opaque(self, directory: int) -> None:
        if self._implicit and self._has_implicit_below(directory):
            _differs("an opaque mark above directories that have no entry")
        if directory != ROOT:  # overlayfs does not look at the root's
            self._nodes.flags[directory] |= InodeFlag.OPAQUE

    def _has_implicit_below(self, directory: int) -> bool:
        pending = [directory]
        while pending:
            children = self._nodes.directories[pending.pop()].children
            self._looked_at += len(children) + 1
            if self._looked_at > self._limits.path_steps:
                raise FieldError("too many opaque marks in one layer")
            for child in children.values():
                if child in self._nodes.directories:
                    if self._nodes.flags[child] & InodeFlag.IMPLICIT:
                        return True
                    pending.append(child)
        return False

    # -- names that come and go

    def _remove(self, parent: int, name: bytes, node: int) -> None:
        """Take a name away, and all that is below it.

        Paths keep their meaning while only names are added and plain files replaced. A directory
        or symlink that goes takes along what was remembered of paths.
        """
        del self._nodes.directories[parent].children[name]
        if node in self._nodes.directories or node in self._nodes.targets:
            self._parents.clear()
            self._moved = True

    def _repeat_directory_times(self) -> None:
        """Set directory times at the end and by name, whatever the name means by then."""
        for path, seconds, nanoseconds in self._directory_times:
            node = self._node_at(self._resolver.resolve(b"/".join(names_from_root(path))))
            if node is None:
                raise CorruptError(f"directory {path[:200]!r} of a layer is gone at its end")
            if self._nodes.flags[node] & InodeFlag.WHITEOUT:
                _differs(f"directory {path[:200]!r} has become a link to a whiteout")
            attributes.set_mtime(self._nodes, node, seconds, nanoseconds)

    # -- kinds

    def _put(self, member: Member, node: int) -> None:
        attributes.put(self._nodes, node, member, self._limits)

    def _merge(self, member: Member, node: int) -> None:
        """Give a directory that exists the entry's mode, owner and time; its xattrs add up."""
        self._nodes.flags[node] &= ~InodeFlag.IMPLICIT & 0xFF
        self._put(member, node)
        self._directory_times.append((member.path, member.mtime_s, member.mtime_ns))

    def _make_directory(self, member: Member, parent: int, name: bytes) -> None:
        self._put(member, self._nodes.make(parent, name, S_IFDIR | member.mode & 0o7777))
        self._directory_times.append((member.path, member.mtime_s, member.mtime_ns))

    def _make_file(self, member: Member, parent: int, name: bytes) -> None:
        node = self._nodes.make(parent, name, S_IFREG | member.mode & 0o7777)
        if member.size:
            self._nodes.size[node] = member.size
            self._nodes.data[node] = self._area.place(member.size, member.runs)
        self._put(member, node)

    def _make_symlink(self, member: Member, parent: int, name: bytes) -> None:
        target = member.linkname
        if not 0 < len(target) <= self._limits.symlink:
            raise FieldError(f"a symlink to a path of {len(target)} bytes")
        node = self._nodes.make(parent, name, S_IFLNK | 0o777)
        self._nodes.targets[node] = target
        self._nodes.size[node] = len(target)
        self._put(member, node)

    def _make_special(self, member: Member, parent: int, name: bytes) -> None:
        kind = _SPECIAL_MODES[member.kind]
        node = self._nodes.make(parent, name, kind | member.mode & 0o7777)
        self._nodes.rdev[node] = member.rdev
        self._put(member, node)

    def _make_hard_link(self, member: Member, parent: int, name: bytes) -> None:
        node = self._link_target(member)
        self._nodes.link(node, parent, name)
        # chown(2), which follows, drops the capabilities of what is not a directory.
        if node in self._nodes.xattrs:
            self._nodes.xattrs[node].pop(attributes.CAPABILITY, None)
        self._put(member, node)

    def _link_target(self, member: Member) -> int:
        if len(member.linkname) > self._limits.path:
            raise FieldError(f"a link to a path of {len(member.linkname)} bytes")
        node = self._find_link_target(member.linkname)
        if node is None:
            raise FieldError(f"its link target {member.linkname[:200]!r} is not in the layer")
        if node in self._nodes.directories:
            raise FieldError(f"its link target {member.linkname[:200]!r} is a directory")
        if self._nodes.flags[node] & InodeFlag.WHITEOUT:
            _differs("a hard link to a whiteout")
        return node

    def _find_link_target(self, path: bytes) -> int | None:
        head, _, name = path.rpartition(b"/")
        if name == b"..":
            return ROOT  # one of its parents; any directory is refused
        if name in _NOT_NAMES:  # a slash at the end: then the last name is followed too
            return self._node_at(self._resolver.resolve(head))
        parent = self._parents.get(head) if b".." not in head else None
        if parent is not None:
            return self._nodes.directories[parent].children.get(name)
        return self._node_at([*self._resolver.resolve(head), name])

    def _make_nothing(self, member: Member, parent: int, name: bytes) -> None:
        """A global header has deleted the name and made the parents; that is all."""

    def _refuse_kind(self, member: Member, parent: int, name: bytes) -> None:
        raise FieldError("its type is unknown to containerd")


_SPECIAL_MODES: Final = {Kind.CHARACTER: S_IFCHR, Kind.BLOCK: S_IFBLK, Kind.FIFO: S_IFIFO}


def _differs(what: str) -> NoReturn:
    raise CorruptError(
        what, hint="first and later layers would differ: let containerd unpack this layer"
    )


def _refused(member: Member, what: str, hint: str | None = None) -> CorruptError:
    return CorruptError(
        f"layer entry {member.path[:200]!r}, header at byte {member.tar_offset}: {what}",
        hint=hint or "containerd refuses such a layer too: build the image again",
    )
