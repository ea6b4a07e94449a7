"""Files of this machine as ends of copies.

Concurrency: a target has one owner that calls one method at a time. Two copies to one path at the
same time are a mistake that ends in one of the files or in an error, never in a mixture: both hold
the lock on the unfinished file, or do not begin.
"""

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.atomic import sync_directory, write_atomic
from bootseer.write_all import write_all
from fuse_hdfs.transfer.ends import About

_SAVED: Final = 64 << 20
"""Bytes after which what is written is made durable and noted, to be gone on with."""


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """The file system of this machine; the root of paths is `/`."""

    async def about(self, path: str) -> About | None:
        """See `Files.about`."""
        try:
            return await asyncio.to_thread(lambda: _about(Path("/", path).stat()))
        except FileNotFoundError:
            return None

    async def list(self, path: str) -> dict[str, About]:
        """See `Files.list`."""
        return await asyncio.to_thread(_list, Path("/", path))

    async def source(self, path: str) -> "LocalSource":
        """See `Files.source`."""
        place = Path("/", path)
        return LocalSource(place, _about(await asyncio.to_thread(place.stat)))

    def target(self, path: str, like: About) -> "LocalTarget":
        """See `Files.target`."""
        return LocalTarget(Path("/", path), like)

    async def make_directory(self, path: str, mode: int) -> None:
        """See `Files.make_directory`."""
        place = Path("/", path)
        if not place.is_dir():
            await asyncio.to_thread(place.mkdir, mode, parents=True)


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A file of this machine to be read."""

    path: Path
    about: About

    async def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`."""
        return await asyncio.to_thread(_read, self.path, offset, length)


class LocalTarget:
    """A file of this machine to be written: under another name beside it, until it is whole."""

    def __init__(self, path: Path, like: About) -> None:
        self._path = path
        self._like = like
        self._part = path.with_name(f".{path.name}.bootseer-part")
        self._note = path.with_name(f".{path.name}.bootseer-part.json")
        self._descriptor = -1
        self._done = 0
        self._noted = 0

    async def begin(self) -> int:
        """See `Target.begin`."""
        self._done = self._noted = await asyncio.to_thread(self._open)
        return self._done

    async def add(self, data: bytes) -> None:
        """See `Target.add`."""
        await asyncio.to_thread(write_all, self._descriptor, self._done, data)
        self._done += len(data)
        if self._done - self._noted >= _SAVED:
            await asyncio.to_thread(self._save)

    async def finish(self) -> None:
        """See `Target.finish`."""
        await asyncio.to_thread(self._finish)

    async def abandon(self) -> None:
        """See `Target.abandon`."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._save)
            self._close()

    def _open(self) -> int:
        self._descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            path = str(self._path)
            raise OSError(errno.EBUSY, "is being written by another copy", path) from None
        done = self._noted_bytes()
        os.truncate(self._descriptor, done)
        return done

    def _noted_bytes(self) -> int:
        """Return what an earlier copy of the same file noted."""
        try:
            noted = json.loads(self._note.read_bytes())
            if noted["identity"] == self._like.identity and isinstance(noted["done"], int):
                return max(0, min(noted["done"], os.fstat(self._descriptor).st_size))
        except (OSError, ValueError, LookupError, TypeError):
            pass
        return 0

    def _save(self) -> None:
        os.fdatasync(self._descriptor)
        note = {"identity": self._like.identity, "done": self._done}
        write_atomic(self._note, json.dumps(note).encode())
        self._noted = self._done

    def _finish(self) -> None:
        os.fchmod(self._descriptor, self._like.mode)
        os.utime(self._descriptor, ns=(self._like.modified_ns, self._like.modified_ns))
        os.fsync(self._descriptor)
        self._part.replace(self._path)
        self._close()
        self._note.unlink(missing_ok=True)
        sync_directory(self._path.parent)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


def _about(found: os.stat_result) -> About:
    directory = stat.S_ISDIR(found.st_mode)
    if not directory and not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "neither a file nor a directory")
    return About(
        directory,
        0 if directory else found.st_size,
        stat.S_IMODE(found.st_mode),
        found.st_mtime_ns,
        f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}:{found.st_size}",
    )


def _list(path: Path) -> dict[str, About]:
    """Return regular files and directories; links are followed, what else there is left out."""
    found = {}
    for entry in path.iterdir():
        with contextlib.suppress(OSError):
            found[entry.name] = _about(entry.stat())
    return found


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb", 0) as file:
        data = os.pread(file.fileno(), length, offset)
        while len(data) < length and (more := os.pread(file.fileno(), length, offset + len(data))):
            data += more[: length - len(data)]
    if len(data) != length:
        raise OSError(errno.EIO, "became shorter while it was read", str(path))
    return data
