"""The mount as a tree of numbered files: what each system call does to the volume.

All methods raise `OSError`. Concurrency: one event loop's thread. The kernel locks a directory
while it changes a name in it, so no two calls change the same name. It does not keep open(2) and
stat(2) from names that are changing: a node's lock is held from before the store is told that its
name goes or changes until the node knows, and while the version that the name leads to is loaded;
so an open file has the version that its node's name led to. Renames are one at a time, and take
the locks of both nodes; whoever holds one of these waits for no other. An open file is held too
while its name is taken away (`OpenFile.leaving`), always after its node: publishing waits. The
names of files whose paths change are held meanwhile (`OpenFile.named`), after all else. A call
that looks at a path below a directory that is being renamed looks again when that is over
(`_settled`). An open file's own state is `OpenFile`'s.
"""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from fuse_hdfs.files.ahead import Ahead
from fuse_hdfs.files.names import HIDDEN
from fuse_hdfs.files.open_file import OpenFile
from fuse_hdfs.files.reading import Found
from fuse_hdfs.files.version import Entry, Version
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.stores.store import USER, Space
from fuse_hdfs.vfs.nodes import ROOT, Node, Nodes

T = TypeVar("T")

__all__ = ["LONGEST_NAME", "Attributes", "Change", "Entry", "Opened", "Tree"]

LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Attributes:
    """What stat(2) says of a file or directory."""

    inode: int
    mode: int
    uid: int
    gid: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Change:
    """What setattr changes; None leaves a thing as it is."""

    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    modified_ns: int | None = None


@dataclass(slots=True)
class _Handle:
    node: Node
    file: OpenFile
    ahead: Ahead


@dataclass(frozen=True, slots=True)
class Opened:
    """A new handle."""

    handle: int
    unchanged: bool
    """The kernel may keep what it has in its page cache of this file."""


class Tree:
    """A volume as the kernel sees it."""

    def __init__(self, volume: Volume, spool: Path) -> None:
        """`spool`: a directory of this machine for changes that are not published yet."""
        self._volume = volume
        self._spool = spool
        self._nodes = Nodes()
        self._handles: dict[int, _Handle] = {}
        self._next = 1
        self._renaming = asyncio.Lock()

    @property
    def open_files(self) -> int:
        """Return how many files are open."""
        return sum(1 for _ in self._nodes.open_files())

    # Names

    async def lookup(self, parent: int, name: str) -> Attributes:
        """Find a name; the kernel knows its node from then on."""
        directory = self._node(parent)
        path = self._path(directory, name)
        entry = await self._volume.stat(path)
        node = self._nodes.child(directory, name)
        node.lookups += 1
        return self._attributes(node, entry)

    def forget(self, inode: int, lookups: int) -> None:
        """Take note that the kernel forgets a node."""
        self._nodes.forget(self._node(inode), lookups)

    async def list(self, inode: int) -> Sequence[Entry]:
        """Return what a directory holds, by name."""
        entries = await self._settled(self._node(inode), self._volume.list)
        return sorted(entries, key=lambda entry: entry.status.name)

    def listed(self, inode: int, entry: Entry) -> Attributes:
        """Return attributes of an entry of a list, whose node the kernel knows from then on."""
        node = self._nodes.child(self._node(inode), entry.status.name)
        node.lookups += 1
        return self._attributes(node, entry)

    async def make_directory(
        self, parent: int, name: str, mode: int, owner: tuple[int, int]
    ) -> Attributes:
        """Make a directory."""
        path = self._path(self._node(parent), name)
        await self._volume.store.make_directory(path, stat.S_IMODE(mode))
        await self._volume.store.give(path, *owner)
        return await self.lookup(parent, name)

    async def remove_directory(self, parent: int, name: str) -> None:
        """Remove an empty directory."""
        directory = self._node(parent)
        await self._volume.store.remove_directory(self._path(directory, name))
        self._gone(directory, name)

    async def remove(self, parent: int, name: str) -> None:
        """Remove a file; who has it open keeps it."""
        directory = self._node(parent)
        path = self._path(directory, name)
        async with self._held(directory, name) as node, self._leaving(node, path):
            await self._volume.remove(path)
            self._nodes.unlink(node)

    async def rename(
        self, parent: int, name: str, new_parent: int, new_name: str, *, replace: bool
    ) -> None:
        """Move a file or directory in one step, over what is there if `replace`."""
        old_directory, new_directory = self._node(parent), self._node(new_parent)
        old, new = self._path(old_directory, name), self._path(new_directory, new_name)
        if old == new:
            await self._volume.store.rename(old, new, replace=replace)
            return
        async with (
            self._renaming,
            self._held(old_directory, name) as node,
            self._held(new_directory, new_name) as target,
        ):
            async with self._leaving(target, new, present=replace), _named(node):
                await self._volume.store.rename(old, new, replace=replace)
                self._nodes.move(node, new_directory, new_name)
            if node.file is not None:
                await node.file.refresh()

    # Attributes

    async def attributes(self, inode: int) -> Attributes:
        """Describe a node."""
        node = self._node(inode)
        if node.file is not None:
            return self._attributes(node, node.file.version.entry)
        if self._is_removed(node):
            raise _error(errno.ESTALE, node.name)
        return self._attributes(node, await self._settled(node, self._volume.stat))

    async def change(self, inode: int, change: Change) -> Attributes:
        """Change size, mode, owner or time."""
        node = self._node(inode)
        if not self._is_removed(node):
            store = self._volume.store
            if change.mode is not None:
                async with self._steady(node):
                    await store.set_mode(node.path, stat.S_IMODE(change.mode))
            if change.uid is not None or change.gid is not None:
                async with self._steady(node):
                    await store.set_owner(node.path, change.uid, change.gid)
        if change.size is not None:
            await self._resize(node, change.size)
        if change.modified_ns is not None:
            if node.file is not None:
                await node.file.set_modified(change.modified_ns)
            elif not self._is_removed(node):
                await self._volume.store.set_modified(node.path, change.modified_ns)
        return await self.attributes(inode)

    async def xattrs(self, inode: int) -> dict[str, bytes]:
        """Return the extended attributes of a node; none of what has no name any more."""
        node = self._node(inode)
        if self._is_removed(node):
            return {}
        return await self._settled(node, self._volume.store.xattrs)

    async def xattr(self, inode: int, name: str) -> bytes:
        """Return one of them; ENODATA if there is none."""
        # The kernel asks for security.capability at every write: there are no others than these.
        found = await self.xattrs(inode) if name.startswith(USER) else {}
        if name not in found:
            raise _error(errno.ENODATA, name)
        return found[name]

    async def set_xattr(self, inode: int, name: str, value: bytes | None) -> None:
        """Set an extended attribute, or remove it (None)."""
        node, store = self._node(inode), self._volume.store
        if not name.startswith(USER):
            raise _error(errno.ENOTSUP, name)
        if self._is_removed(node):
            raise _error(errno.ESTALE, node.name)
        async with self._steady(node):
            if value is None:
                await store.remove_xattr(node.path, name)
            else:
                await store.set_xattr(node.path, name, value)

    async def space(self) -> Space:
        """Return how much room there is."""
        return await self._volume.store.space()

    # Contents

    async def create(
        self, parent: int, name: str, mode: int, owner: tuple[int, int], flags: int
    ) -> tuple[Opened, Attributes]:
        """Make and open a file, or open the one that is there unless O_EXCL."""
        directory = self._node(parent)
        path = self._path(directory, name)
        try:
            made = await self._volume.create(path, stat.S_IMODE(mode), owner)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            found = await self.lookup(parent, name)
            opened = await self.open(found.inode, flags)
            return opened, await self.attributes(found.inode)
        node = self._nodes.child(directory, name)
        node.lookups += 1
        opened = await self._open(node, flags, made)
        return opened, await self.attributes(node.inode)

    async def open(self, inode: int, flags: int) -> Opened:
        """Open a file: as it was when it was last closed, here or elsewhere."""
        return await self._open(self._node(inode), flags)

    async def _open(self, node: Node, flags: int, version: Version | None = None) -> Opened:
        """Open a file, whose `version` may be known."""
        node.opens += 1
        try:
            file = await self._opened(node, version)
            if flags & os.O_TRUNC and flags & os.O_ACCMODE != os.O_RDONLY:
                await file.resize(0)
        except BaseException:
            await self._closed(node)
            raise
        settings = self._volume.settings
        ahead = Ahead(2 * settings.striping.unit, min(settings.ahead, settings.cache // 2))
        handle, self._next = self._next, self._next + 1
        self._handles[handle] = _Handle(node, file, ahead)
        identity = file.version.entry.status.identity
        unchanged, node.seen = node.seen == identity, "" if file.changed else identity
        return Opened(handle, unchanged)

    async def read(self, handle: int, offset: int, length: int) -> Found:
        """Return bytes of an open file; fewer only at its end."""
        opened = self._handle(handle)
        return await opened.file.read(offset, length, opened.ahead)

    async def write(self, handle: int, offset: int, data: bytes) -> None:
        """Write into an open file."""
        opened = self._handle(handle)
        opened.node.seen = ""  # the kernel has pages now that are no version's
        await opened.file.write(offset, data)

    def changed(self, handle: int) -> int | None:
        """Return the number of an open file that has changes nobody has published; else None."""
        opened = self._handle(handle)
        return opened.node.inode if opened.file.changed else None

    def shared(self, handle: int) -> int | None:
        """Return the number of an open file that is open through other handles too; else None."""
        node = self._handle(handle).node
        return node.inode if node.opens > 1 else None

    def forsake(self, handle: int) -> None:
        """Take note that who wrote a file will not go on: what he changed is not all of it."""
        self._handle(handle).file.forsake()

    async def flush(self, handle: int) -> None:
        """Publish what was changed; the last chance to say what failed."""
        opened = self._handle(handle)
        await opened.file.flush()
        opened.node.seen = opened.file.version.entry.status.identity

    async def release(self, handle: int) -> None:
        """Close a handle."""
        opened = self._handles.pop(handle, None)
        if opened is not None:
            await self._closed(opened.node)

    async def close(self) -> None:
        """Publish what was not published yet, as far as that is possible."""
        await asyncio.gather(*(file.close() for file in self._nodes.open_files()))

    # Inside

    def _node(self, inode: int) -> Node:
        try:
            return self._nodes.at(inode)
        except KeyError:
            raise _error(errno.ESTALE, str(inode)) from None

    def _handle(self, handle: int) -> _Handle:
        try:
            return self._handles[handle]
        except KeyError:
            raise _error(errno.EBADF, str(handle)) from None

    def _path(self, directory: Node, name: str) -> str:
        if self._is_removed(directory):
            raise _error(errno.ENOENT, name)
        if len(name.encode(errors="surrogateescape")) > LONGEST_NAME:
            raise _error(errno.ENAMETOOLONG, name)
        if directory.inode == ROOT and name == HIDDEN:
            raise _error(errno.ENOENT, name)
        return f"{directory.path}/{name}" if directory.inode != ROOT else name

    def _is_removed(self, node: Node) -> bool:
        while node.parent is not None:
            node = node.parent
        return node.inode != ROOT

    async def _settled(self, node: Node, look: Callable[[str], Awaitable[T]]) -> T:
        """Look at a node's path, again if it was being moved."""
        path = node.path
        try:
            return await look(path)
        except FileNotFoundError:
            async with self._renaming:
                moved = node.path
            if moved == path:
                raise
            return await look(moved)

    @contextlib.asynccontextmanager
    async def _steady(self, node: Node) -> AsyncIterator[None]:
        """Hold a node's file, if it is open, while something beside its contents changes."""
        if node.file is None:
            yield
        else:
            async with node.file.steady():
                yield

    def _attributes(self, node: Node, entry: Entry) -> Attributes:
        status = entry.status
        kind = stat.S_IFDIR if status.directory else stat.S_IFREG
        size, modified = entry.size, status.modified_ns
        if node.file is not None:
            size = node.file.size
            modified = node.file.modified_ns or modified
        mode = kind | status.mode
        return Attributes(node.inode, mode, status.uid, status.gid, size, modified)

    async def _opened(self, node: Node, known: Version | None = None) -> OpenFile:
        """Return the node's open file, with the version that is published now."""

        async def load(_: str) -> OpenFile:
            async with node.lock:
                if node.file is None:
                    if self._is_removed(node):
                        # The kernel looks the name up again then.
                        raise _error(errno.ESTALE, node.name)
                    version = known or await self._volume.load(node.path)
                    node.file = OpenFile(self._volume, self._spool, lambda: node.path, version)
                elif not self._is_removed(node):
                    await node.file.renew()
                return node.file

        return await self._settled(node, load)

    async def _closed(self, node: Node) -> None:
        try:
            async with node.lock:
                node.opens -= 1
                if node.opens == 0 and node.file is not None:
                    file = node.file
                    whole = await file.close()
                    node.file, node.seen = None, file.version.entry.status.identity if whole else ""
        finally:
            self._nodes.tidy(node)

    async def _resize(self, node: Node, size: int) -> None:
        node.opens += 1
        try:
            file = await self._opened(node)
            await file.resize(size)
            if node.opens == 1:  # truncate(2): nobody will close it
                await file.flush()
        finally:
            await self._closed(node)

    @contextlib.asynccontextmanager
    async def _held(self, directory: Node, name: str) -> AsyncIterator[Node]:
        """Hold the node of a name, whether or not there is anything of that name."""
        node = self._nodes.child(directory, name)
        node.opens += 1
        try:
            async with node.lock:
                yield node
        finally:
            await self._closed(node)

    @contextlib.asynccontextmanager
    async def _leaving(self, node: Node, path: str, *, present: bool = True) -> AsyncIterator[None]:
        """Take a held node's name away inside; if that fails the node's file stays as it was.

        `present`: there may be a file of that name.
        """
        if node.file is not None:
            async with node.file.leaving(keep=present):
                yield
            return
        version = await self._present(path) if present else None
        yield
        if version is not None and version.manifest is not None:
            await self._volume.discard(version.manifest.segments)

    async def _present(self, path: str) -> Version | None:
        """Return what a path leads to, if it is a file that can be read."""
        try:
            return await self._volume.load(path)
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return None  # damaged: it can be removed, and its stripes are orphans

    def _gone(self, directory: Node, name: str) -> None:
        node = directory.children.get(name)
        if node is not None:
            self._nodes.unlink(node)
            self._nodes.tidy(node)


@contextlib.asynccontextmanager
async def _named(node: Node) -> AsyncIterator[None]:
    """Hold the names of all open files at and below a node, whose paths change inside."""
    async with contextlib.AsyncExitStack() as stack:
        for one in _below(node):
            if one.file is not None:
                await stack.enter_async_context(one.file.named())
        yield


def _below(node: Node) -> list[Node]:
    found = [node]
    for one in found:
        found += one.children.values()
    return found


def _error(number: int, what: str) -> OSError:
    return OSError(number, os.strerror(number), what)
