"""Objects as files below a directory, which several machines may share.

Concurrency: nothing is kept between calls. A file is written under a name of its own that begins
with a dot, synced, and then linked to its final name, which fails where there is one already: so of
several writers, on any machine, one wins, and readers see all of a file or none of it.

Every call works in a thread. One that hangs in the kernel (a dead NFS server) is given up after
`patience`; its thread is lost until the kernel lets it go.
"""

import asyncio
import contextlib
import errno
import os
import stat
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from bootseer.atomic import sync_directory
from bootseer.blobs.store import PIECE, BlobInfo, below, check_name
from bootseer.errors import CorruptError, HostError, NotFoundError

T = TypeVar("T")

_ABSENT: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems without hard links answer."""
_STALE_S: Final = 86_400.0
"""Age at which an unfinished file was left behind by a writer that is gone."""
_SLOWEST: Final = 1 << 20
"""Bytes per second: a file that is written more slowly than this is given up."""


@dataclass(frozen=True, slots=True)
class DirectoryBlobs:
    """A `BlobStore` in a directory, which is made when the first object is put."""

    root: Path
    patience: float = 60.0
    """Seconds that one access may take; writing a large file takes longer by its size."""

    async def put(self, name: str, content: bytes | Path) -> bool:
        """Store an object; see `BlobStore.put`."""
        path = self._path(name)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        try:
            return await self._within(self.patience + size / _SLOWEST, name, _put, path, content)
        except NotFoundError as error:
            raise HostError(f"{path} cannot be written: {error.__cause__}") from error

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """Return part of an object; see `BlobStore.read`."""
        return await self._within(self.patience, name, self.read_now, name, offset, length)

    def read_now(self, name: str, offset: int, length: int) -> bytes:
        """Do what `read` does, here and now (blocking, by any thread)."""
        path = self._path(name)
        with _named(path):
            data = _read(path, offset, length)
        if len(data) != length:
            raise CorruptError(f"{path} ends before byte {offset + length}")
        return data

    async def stream(self, name: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """Yield an object; see `BlobStore.stream`."""
        path = self._path(name)
        while piece := await self._within(self.patience, name, _read, path, offset, PIECE):
            offset += len(piece)
            yield piece

    async def size(self, name: str) -> int | None:
        """Return the bytes of an object; see `BlobStore.size`."""
        try:
            found = await self._within(self.patience, name, os.stat, self._path(name))
        except NotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    async def list(self, prefix: str, most: int) -> list[BlobInfo]:
        """Return the objects below a prefix; see `BlobStore.list`."""
        start = below(prefix)
        try:
            found = await self._within(self.patience, prefix, _list, self.root / prefix, most)
        except NotFoundError:
            return []
        return sorted(
            (BlobInfo(start + name, size, modified) for name, size, modified in found),
            key=lambda one: one.name,
        )

    async def delete(self, name: str) -> bool:
        """Remove an object; see `BlobStore.delete`."""
        try:
            await self._within(self.patience, name, os.unlink, self._path(name))
        except NotFoundError:
            return False
        return True

    def _path(self, name: str) -> Path:
        return self.root / check_name(name)

    async def _within(
        self, seconds: float, name: str, work: Callable[..., T], *arguments: object
    ) -> T:
        """Run `work` in a thread, and turn what goes wrong into our errors."""
        path = self.root / name
        with _named(path):
            try:
                async with asyncio.timeout(seconds):
                    return await asyncio.to_thread(work, *arguments)
            except TimeoutError as error:
                message = f"{path}: no answer in {seconds:.0f} s"
                raise HostError(message, hint="dead server?") from error


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into our errors."""
    try:
        yield
    except _ABSENT as error:
        raise NotFoundError(f"{path} does not exist") from error
    except OSError as error:
        raise HostError(f"{path}: {error.strerror or error}") from error


def _put(path: Path, content: bytes | Path) -> bool:
    _make_directory(path.parent)
    if path.exists():
        return False
    _sweep(path.parent)
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o644), "wb") as file:
            for piece in _pieces(content):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        return _give_name(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        sync_directory(path.parent)


def _give_name(temporary: Path, path: Path) -> bool:
    """Make a finished file appear under its name, unless there is one."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Two writers may both get here; then the second one's object, a whole one, stays.
        if path.exists():
            return False
        temporary.rename(path)
    return True


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb", 0) as file:
        while piece := file.read(PIECE):
            yield piece


def _make_directory(path: Path) -> None:
    """Make a directory and those above it, so that they survive a power failure."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def _sweep(directory: Path) -> None:
    """Remove what writers left behind that were killed."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if not (entry.name.startswith(".") and entry.name.endswith(".new")):
                continue
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime < time.time() - _STALE_S:
                    Path(entry.path).unlink()


def _read(path: Path, offset: int, length: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while length and (part := os.pread(descriptor, length, offset)):
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _list(root: Path, most: int) -> list[tuple[str, int, float]]:
    """Return (name, size, time) of the files below `root`."""
    found: list[tuple[str, int, float]] = []
    directories = [("", root)]
    while directories:
        prefix, directory = directories.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    directories.append((f"{prefix}{entry.name}/", Path(entry.path)))
                elif entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                        status = entry.stat(follow_symlinks=False)
                        found.append((prefix + entry.name, status.st_size, status.st_mtime))
                if len(found) + len(directories) > most:
                    raise CorruptError(f"{root} has more than {most} objects")
    return found
