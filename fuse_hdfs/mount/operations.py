"""The FUSE edge: handlers translate numbers and errors, and delegate to the tree."""

import errno
import functools
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, ParamSpec, TypeVar

import pyfuse3

from bootseer.errors import BootseerError
from fuse_hdfs.files.reading import Found
from fuse_hdfs.mount.openers import Close, Openers
from fuse_hdfs.mount.past_cache import PastCache
from fuse_hdfs.vfs.tree import LONGEST_NAME, Attributes, Change, Entry, Opened, Tree

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_NOREPLACE: Final = 1
_KNOWN_S: Final = 1.0
"""Seconds for which the kernel may believe names and attributes that it was told."""
_BLOCK: Final = 4096


def _guarded(
    work: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let nothing but `FUSEError` out: pyfuse3 stops serving on any other exception."""

    @functools.wraps(work)
    async def handler(*arguments: P.args, **named: P.kwargs) -> T:
        fields = {"call": work.__name__}
        try:
            return await work(*arguments, **named)
        except pyfuse3.FUSEError:
            raise
        except OSError as error:
            number = error.errno or errno.EIO
            if number in (errno.EIO, errno.ETIMEDOUT, errno.ESTALE):
                log.error("mount.io_error", extra={"fields": fields | {"reason": str(error)}})
            raise pyfuse3.FUSEError(number) from None
        except BootseerError as error:
            log.error("mount.io_error", extra={"fields": fields | {"reason": error.message}})
        except Exception:
            log.exception("mount.bug", extra={"fields": fields})
        raise pyfuse3.FUSEError(errno.EIO)

    return handler


class MountOperations(pyfuse3.Operations):
    """Translates FUSE requests into calls on a `Tree`."""

    def __init__(self, tree: Tree, openers: Openers, ready: Callable[[], None]) -> None:
        """`ready` is called once, when the kernel is connected."""
        super().__init__()
        self._tree = tree
        self._openers = openers
        self._ready = ready
        self._past_cache = PastCache(pyfuse3.invalidate_inode)
        self._lists: dict[int, tuple[int, Sequence[Entry]]] = {}
        self._next_list = 1

    def init(self) -> None:
        """Take note that the kernel is connected."""
        self._ready()

    @_guarded
    async def lookup(
        self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Find a name."""
        return _entry(await self._tree.lookup(parent_inode, os.fsdecode(name)))

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Forget nodes."""
        for inode, lookups in inode_list:
            self._tree.forget(inode, lookups)

    @_guarded
    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """Describe a node."""
        return _entry(await self._tree.attributes(inode))

    @_guarded
    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Change attributes."""
        change = Change(
            size=attr.st_size if fields.update_size else None,
            mode=attr.st_mode if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            modified_ns=attr.st_mtime_ns if fields.update_mtime else None,
        )
        return _entry(await self._tree.change(inode, change))

    @_guarded
    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Make a directory."""
        wanted, owner = mode & ~ctx.umask, (ctx.uid, ctx.gid)
        made = await self._tree.make_directory(parent_inode, os.fsdecode(name), wanted, owner)
        return _entry(made)

    @_guarded
    async def rmdir(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Remove a directory."""
        await self._tree.remove_directory(parent_inode, os.fsdecode(name))

    @_guarded
    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Remove a file."""
        await self._tree.remove(parent_inode, os.fsdecode(name))

    @_guarded
    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        """Move a file or directory; two cannot be exchanged."""
        if flags & ~_NOREPLACE:
            raise pyfuse3.FUSEError(errno.EINVAL)
        await self._tree.rename(
            parent_inode_old,
            os.fsdecode(name_old),
            parent_inode_new,
            os.fsdecode(name_new),
            replace=not flags & _NOREPLACE,
        )

    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Refuse: HDFS has no symbolic links."""
        raise pyfuse3.FUSEError(errno.ENOTSUP)

    async def link(
        self, inode: int, new_parent_inode: int, new_name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Refuse: HDFS has no hard links."""
        raise pyfuse3.FUSEError(errno.ENOTSUP)

    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Refuse: HDFS has no devices."""
        raise pyfuse3.FUSEError(errno.ENOTSUP)

    @_guarded
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        """Return an extended attribute."""
        return await self._tree.xattr(inode, os.fsdecode(name))

    @_guarded
    async def listxattr(self, inode: int, ctx: pyfuse3.RequestContext) -> Sequence[bytes]:
        """Return the names of extended attributes."""
        return [os.fsencode(name) for name in await self._tree.xattrs(inode)]

    @_guarded
    async def setxattr(
        self, inode: int, name: bytes, value: bytes, ctx: pyfuse3.RequestContext
    ) -> None:
        """Set an extended attribute `user.*`."""
        await self._tree.set_xattr(inode, os.fsdecode(name), value)

    @_guarded
    async def removexattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Remove an extended attribute."""
        await self._tree.set_xattr(inode, os.fsdecode(name), None)

    @_guarded
    async def create(
        self,
        parent_inode: int,
        name: bytes,
        mode: int,
        flags: int,
        ctx: pyfuse3.RequestContext,
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        """Make and open a file."""
        wanted, owner = mode & ~ctx.umask, (ctx.uid, ctx.gid)
        opened, attributes = await self._tree.create(
            parent_inode, os.fsdecode(name), wanted, owner, flags
        )
        await self._openers.opened(opened.handle, flags, ctx.pid)
        return self._info(opened, flags), _entry(attributes)

    @_guarded
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Open a file; O_TRUNC comes with it, O_APPEND is the kernel's work."""
        opened = await self._tree.open(inode, flags)
        await self._openers.opened(opened.handle, flags, ctx.pid)
        return self._info(opened, flags)

    @_guarded
    async def read(self, fh: int, off: int, size: int) -> Found:  # type: ignore[override]
        """Return bytes of a file, in any memory, whatever pyfuse3 declares."""
        return await self._tree.read(fh, off, size)

    @_guarded
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        """Write into a file."""
        await self._tree.write(fh, off, buf)
        if self._past_cache.passed(fh) and (inode := self._tree.shared(fh)) is not None:
            await self._past_cache.forget(inode)
        return len(buf)

    @_guarded
    async def flush(self, fh: int) -> None:
        """Publish at close(2), whose error this is, unless the file is not written yet."""
        inode = self._tree.changed(fh)
        close = Close.LAST if inode is None else await self._openers.close(fh, inode)
        if close is Close.LAST:
            await self._tree.flush(fh)
        elif close is Close.DEATH:
            self._tree.forsake(fh)

    @_guarded
    async def fsync(self, fh: int, datasync: bool) -> None:
        """Publish now."""
        await self._tree.flush(fh)

    @_guarded
    async def release(self, fh: int) -> None:
        """Close a handle."""
        self._openers.released(fh)
        self._past_cache.released(fh)
        await self._tree.release(fh)

    @_guarded
    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        """List a directory; readers of the handle see it as it is now."""
        entries = await self._tree.list(inode)
        handle, self._next_list = self._next_list, self._next_list + 1
        self._lists[handle] = inode, entries
        return handle

    @_guarded
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """Return a list from an entry on, with attributes."""
        inode, entries = self._lists[fh]
        for number in range(start_id, len(entries)):
            name = entries[number].status.name
            attributes = self._tree.listed(inode, entries[number])
            if not pyfuse3.readdir_reply(token, os.fsencode(name), _entry(attributes), number + 1):
                self._tree.forget(attributes.inode, 1)
                return

    async def releasedir(self, fh: int) -> None:
        """Drop a list."""
        self._lists.pop(fh, None)

    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Do nothing: names survive a crash as soon as they are there."""

    @_guarded
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Answer statfs(2)."""
        space = await self._tree.space()
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = _BLOCK
        data.f_blocks = space.total // _BLOCK
        data.f_bfree = data.f_bavail = space.free // _BLOCK
        data.f_files = data.f_ffree = data.f_favail = 1 << 32
        data.f_namemax = LONGEST_NAME
        return data

    def close(self) -> None:
        """Let go of what the handlers need, when none is called any more."""
        self._past_cache.close()

    def _info(self, opened: Opened, flags: int) -> pyfuse3.FileInfo:
        past = self._past_cache.opened(opened.handle, flags)
        keep = opened.unchanged and not past
        return pyfuse3.FileInfo(fh=opened.handle, keep_cache=keep, direct_io=past)


def _entry(attributes: Attributes) -> pyfuse3.EntryAttributes:
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = attributes.inode
    entry.st_mode = attributes.mode
    entry.st_nlink = 1
    entry.st_uid, entry.st_gid = attributes.uid, attributes.gid
    entry.st_size = attributes.size
    entry.st_blksize = 1 << 20
    entry.st_blocks = -(-attributes.size // 512)
    entry.st_mtime_ns = entry.st_ctime_ns = entry.st_atime_ns = attributes.modified_ns
    entry.entry_timeout = entry.attr_timeout = _KNOWN_S
    return entry
