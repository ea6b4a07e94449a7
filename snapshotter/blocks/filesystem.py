"""The FUSE edge: one flat directory, one read-only file a layer, named by the layer.

Handlers translate numbers and errors and delegate. They keep no state: inode numbers and file
handles follow from names, so that the kernel's are valid for every server that comes after.
A block file never changes while it exists, so the kernel may cache everything for ever.
"""

import errno
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

import pyfuse3

from bootseer.errors import BootseerError, NotFoundError
from snapshotter.blocks.names import ROOT_INODE, BlockName, Inode
from snapshotter.blocks.takeover import Handover

log = logging.getLogger(__name__)

T = TypeVar("T")

_FOREVER: Final = 10 * 365 * 86400.0
_UNNOTICED: Final = 1 << 63
"""Set in the handles of who opens with O_NOATIME: he reads what is at hand, in any order, and
nothing is to be concluded from that (`readahead`). It is in the handle because a server's successor
gets the handles that it gave, and nothing else."""


class BlockFile(Protocol):
    """Blocks of a layer."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Return verified bytes, or raise a `BootseerError`."""
        ...

    def is_known(self) -> bool:
        """Say, when it is opened, whether what the kernel may have of it is of this very file."""
        ...


class BlockFiles(Protocol):
    """Where block files come from."""

    async def open(self, name: BlockName) -> BlockFile:
        """Return a block file, opened once and kept. NotFoundError if there is none."""
        ...

    def read_now(
        self, name: BlockName, offset: int, length: int, *, noticed: bool = True
    ) -> bytes | bytearray | None:
        """Return what `BlockFile.read` would, if it need not wait for anything; else None.

        Not `noticed`: nothing is fetched because of it.
        """
        ...

    def names(self) -> Sequence[BlockName]:
        """Return the block files that there are."""
        ...


class BlockFilesystem(pyfuse3.Operations):
    """Translates FUSE requests into calls on `BlockFiles`."""

    def __init__(self, files: BlockFiles, handover: Handover, ready: Callable[[], None]) -> None:
        """`ready` is called once, when the connection is ours."""
        super().__init__()
        self._files = files
        self._handover = handover
        self._ready = ready

    def init(self) -> None:
        """Handle FUSE_INIT: put the real device in the place of the session (see `takeover`)."""
        resent = self._handover.complete()
        log.info(
            "fuse.connected", extra={"fields": {"live": not self._handover.fresh, "resend": resent}}
        )
        self._ready()

    async def lookup(
        self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Find a block file by its name."""
        found = BlockName.parse(os.fsdecode(name))
        if parent_inode != ROOT_INODE or found is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return await self._attributes(found)

    async def getattr(
        self, inode: int, ctx: pyfuse3.RequestContext | None = None
    ) -> pyfuse3.EntryAttributes:
        """Describe the directory or a block file."""
        if inode == ROOT_INODE:
            return _entry(ROOT_INODE, stat.S_IFDIR | 0o500, 0)
        return await self._attributes(_name(inode))

    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Open a block file; its handle is its inode, with a bit if its reads are not noticed."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise pyfuse3.FUSEError(errno.EROFS)
        name = _name(inode)

        async def is_known() -> bool:
            return (await self._files.open(name)).is_known()

        handle = inode | (_UNNOTICED if flags & os.O_NOATIME else 0)
        return pyfuse3.FileInfo(fh=handle, keep_cache=await _guarded(is_known, name, 0))

    async def read(  # type: ignore[override]  # it takes any buffer
        self, fh: int, off: int, size: int
    ) -> bytes | bytearray:
        """Return verified bytes, or EIO and a log line that names layer and offset."""
        name = _name(fh & ~_UNNOTICED)
        try:
            at_once = self._files.read_now(name, off, size, noticed=not fh & _UNNOTICED)
        except OSError:
            at_once = None  # the long way says what is wrong
        except Exception:
            # Not let out: this server would end, and the next one, which is sent the same request.
            log.exception("block.bug", extra={"fields": {"layer": str(name), "offset": off}})
            at_once = None
        if at_once is not None:
            return at_once

        async def bytes_at() -> bytes | bytearray:
            return await (await self._files.open(name)).read(off, size)

        return await _guarded(bytes_at, name, off)

    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        """Open the one directory."""
        if inode != ROOT_INODE:
            raise pyfuse3.FUSEError(errno.ENOTDIR)
        return ROOT_INODE

    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """List the block files; an entry's position is its inode number."""
        for inode, name in sorted((name.inode, name) for name in self._files.names()):
            if inode <= start_id:
                continue
            try:  # the kernel takes over the size that it is told here, so it must be true
                entry = await self._attributes(name)
            except pyfuse3.FUSEError:
                continue
            if not pyfuse3.readdir_reply(token, str(name).encode(), entry, inode):
                return

    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Answer statfs(2): nothing is free in here."""
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = 4096
        data.f_namemax = 255
        return data

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Do nothing: inode numbers are never reused, so nothing is counted."""

    async def release(self, fh: int) -> None:
        """Do nothing: a handle holds nothing."""

    async def releasedir(self, fh: int) -> None:
        """Do nothing: a handle holds nothing."""

    async def _attributes(self, name: BlockName) -> pyfuse3.EntryAttributes:
        async def size() -> int:
            return (await self._files.open(name)).size

        return _entry(name.inode, stat.S_IFREG | 0o400, await _guarded(size, name, 0))


def _name(inode: int) -> BlockName:
    name = BlockName.at(inode)
    if name is None:
        raise pyfuse3.FUSEError(errno.ESTALE)
    return name


def _entry(inode: Inode, mode: int, size: int) -> pyfuse3.EntryAttributes:
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = inode
    entry.st_mode = mode
    entry.st_size = size
    entry.st_nlink = 1
    entry.st_blksize = 4096
    entry.st_blocks = (size + 511) // 512
    entry.entry_timeout = entry.attr_timeout = _FOREVER
    return entry


async def _guarded(work: Callable[[], Awaitable[T]], name: BlockName, offset: int) -> T:
    """Let nothing but `FUSEError` out: pyfuse3 stops serving on any other exception."""
    fields = {"layer": str(name), "offset": offset}
    try:
        return await work()
    except NotFoundError as error:
        log.error("block.not_found", extra={"fields": fields | {"reason": error.message}})
        raise pyfuse3.FUSEError(errno.ENOENT) from None
    except BootseerError as error:
        log.error("block.io_error", extra={"fields": fields | {"reason": error.message}})
    except OSError as error:
        log.error("block.io_error", extra={"fields": fields | {"reason": str(error)}})
    except Exception:
        log.exception("block.bug", extra={"fields": fields})
    raise pyfuse3.FUSEError(errno.EIO)
