"""Files below a directory of this machine, which may be a shared file system.

Concurrency: nothing is kept between calls. Every call works in a thread; one that hangs in the
kernel (a dead NFS server) is given up after `patience`, and its thread is lost until the kernel
lets it go.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import stat
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from bootseer.atomic import sync_directory
from fuse_hdfs.stores.reads import Reads
from fuse_hdfs.stores.store import USER, Block, Space, Status, Stream
from fuse_hdfs.stores.traffic import Traffic

T = TypeVar("T")

_AT_FDCWD: Final = -100
_NOREPLACE: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """A `Store` in a directory."""

    root: Path
    patience: float = 60.0
    """Seconds that one access may take."""
    traffic: Traffic = field(default_factory=Traffic)
    """Of no machine."""

    async def stat(self, path: str) -> Status:
        """See `Store.stat`."""
        return await self._within(_stat, self._path(path), path.rpartition("/")[2])

    async def list(self, path: str) -> list[Status]:
        """See `Store.list`."""
        return await self._within(_list, self._path(path))

    async def read(
        self,
        path: str,
        offset: int,
        length: int,
        *,
        of: Status | None = None,
        place: str | None = None,
    ) -> bytes:
        """See `Store.read`. `place` means nothing here."""
        del place
        return await self._within(_read, self._path(path), offset, length, of)

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, offset: int, *, place: str | None = None
    ) -> AsyncIterator[Stream]:
        """See `Store.stream`: reads one after the other, which cost nothing beside their bytes."""
        del place
        yield Reads(self, path, offset)

    async def write(
        self,
        path: str,
        content: AsyncIterable[bytes] | bytes,
        *,
        mode: int = 0o644,
        parents: bool = True,
        place: str | None = None,
    ) -> None:
        """See `Store.write`. `place` means nothing here."""
        del place
        target = self._path(path)
        descriptor = await self._within(_create, target, mode, parents)
        try:
            if isinstance(content, bytes):
                await self._within(_write, descriptor, content)
            else:
                async for piece in content:
                    await self._within(_write, descriptor, piece)
                    del piece  # see `views.Pieces`
            await self._within(_sync, descriptor)
        finally:
            os.close(descriptor)
        await self._within(sync_directory, target.parent)

    async def places(self) -> tuple[str, ...]:
        """See `Store.places`: there is no choice."""
        return ()

    async def blocks(self, path: str) -> tuple[Block, ...]:
        """See `Store.blocks`: nothing is known."""
        del path
        return ()

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See `Store.rename`."""
        await self._within(_rename, self._path(old), self._path(new), replace)

    async def put_in_place(self, hidden: str, path: str, made: Status | None) -> Status:
        """See `Store.put_in_place`."""
        del made  # a file that was moved may be another one by its identity
        await self.rename(hidden, path, replace=True)
        return await self.stat(path)

    async def concat(self, path: str, others: Sequence[str]) -> None:
        """See `Store.concat`: directories cannot."""
        del others
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), path)

    async def can_concat(self) -> bool:
        """See `Store.can_concat`: directories cannot."""
        return False

    async def make_directory(self, path: str, mode: int) -> None:
        """See `Store.make_directory`."""
        await self._within(_make_directory, self._path(path), mode)

    async def make_directories(self, path: str) -> None:
        """See `Store.make_directories`."""
        await self._within(_make_directories, self._path(path))

    async def remove(self, path: str) -> None:
        """See `Store.remove`."""
        await self._within(os.unlink, self._path(path))

    async def remove_directory(self, path: str) -> None:
        """See `Store.remove_directory`."""
        await self._within(os.rmdir, self._path(path))

    async def remove_tree(self, path: str) -> None:
        """See `Store.remove_tree`."""
        with contextlib.suppress(FileNotFoundError):
            await self._within(shutil.rmtree, self._path(path))

    async def set_mode(self, path: str, mode: int) -> None:
        """See `Store.set_mode`."""
        await self._within(os.chmod, self._path(path), mode)

    async def set_owner(self, path: str, uid: int | None, gid: int | None) -> None:
        """See `Store.set_owner`."""
        numbers = (-1 if number is None else number for number in (uid, gid))
        await self._within(os.chown, self._path(path), *numbers)

    async def give(self, path: str, uid: int, gid: int) -> None:
        """See `Store.give`. Who may not give files away keeps them."""
        with contextlib.suppress(PermissionError):
            await self._within(os.chown, self._path(path), uid, gid)

    async def set_modified(self, path: str, modified_ns: int) -> None:
        """See `Store.set_modified`."""
        await self._within(_set_modified, self._path(path), modified_ns)

    async def set_label(self, path: str, label: int) -> None:
        """See `Store.set_label`: nothing is kept, as whatever it stands for is read fast here."""

    async def xattrs(self, path: str) -> dict[str, bytes]:
        """See `Store.xattrs`."""
        return await self._within(_xattrs, self._path(path))

    async def set_xattr(self, path: str, name: str, value: bytes) -> None:
        """See `Store.set_xattr`."""
        if not name.startswith(USER):
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), name)
        await self._within(os.setxattr, self._path(path), name, value)

    async def remove_xattr(self, path: str, name: str) -> None:
        """See `Store.remove_xattr`."""
        await self._within(os.removexattr, self._path(path), name)

    async def space(self) -> Space:
        """See `Store.space`."""
        found = await self._within(os.statvfs, self.root)
        return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

    def _path(self, path: str) -> Path:
        return self.root / path

    async def _within(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            async with asyncio.timeout(self.patience):
                return await asyncio.to_thread(work, *arguments)
        except TimeoutError as error:
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), str(self.root)) from error


def _stat(path: Path, name: str) -> Status:
    return _status(name, path.lstat())


def _status(name: str, found: os.stat_result) -> Status:
    directory = stat.S_ISDIR(found.st_mode)
    if not directory and not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, "neither a file nor a directory", name)
    return Status(
        name,
        directory,
        0 if directory else found.st_size,
        stat.S_IMODE(found.st_mode),
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
        f"{found.st_dev}:{found.st_ino}:{found.st_ctime_ns}:{found.st_size}",
    )


def _list(path: Path) -> list[Status]:
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile, or a device
                found.append(_status(entry.name, entry.stat(follow_symlinks=False)))
    return found


def _read(path: Path, offset: int, length: int, of: Status | None) -> bytes:
    with _opened(path, of) as file:
        parts = []
        while length and (part := os.pread(file.fileno(), length, offset)):
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts) if len(parts) != 1 else parts[0]


def _opened(path: Path, of: Status | None) -> BinaryIO:
    """Open a file, which must be `of` if that is given; ESTALE otherwise."""
    try:
        file = path.open("rb", 0)
    except FileNotFoundError:
        if of is None:
            raise
        raise _stale(path) from None
    if of is not None and _status("", os.fstat(file.fileno())).identity != of.identity:
        file.close()
        raise _stale(path)
    return file


def _stale(path: Path) -> OSError:
    return OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))


def _create(path: Path, mode: int, parents: bool) -> int:
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    os.fchmod(descriptor, mode)  # open(2) would take the umask of this process from it
    return descriptor


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(descriptor: int) -> None:
    # The kernel's own clock ticks too slowly to tell two files apart that were made in a row.
    now = time.time_ns()
    os.utime(descriptor, ns=(now, now))
    os.fsync(descriptor)


def _rename(old: Path, new: Path, replace: bool) -> None:
    flags = 0 if replace else _NOREPLACE
    names = os.fsencode(old), os.fsencode(new)
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(old), None, str(new))
    for directory in {old.parent, new.parent}:
        sync_directory(directory)


def _make_directories(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)


def _make_directory(path: Path, mode: int) -> None:
    path.mkdir()
    path.chmod(mode)  # mkdir(2) would take the umask of this process from it


def _set_modified(path: Path, modified_ns: int) -> None:
    os.utime(path, ns=(path.stat().st_atime_ns, modified_ns))


def _xattrs(path: Path) -> dict[str, bytes]:
    names = [name for name in os.listxattr(path) if name.startswith(USER)]
    return {name: os.getxattr(path, name) for name in names}
