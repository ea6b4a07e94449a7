"""Which process serves a mount, said by a locked file, so that it is never said of a dead one.

The file is named by the number of the FUSE connection, which no other mount has at the same time.
What counts is the lock: the kernel takes it away with the process, and tells whose it is.
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_FLOCK: Final = "@hhqqi4x"
"""struct flock of fcntl(2): type, whence, start, length, process."""


@contextlib.contextmanager
def announced(directory: Path, minor: str) -> Iterator[None]:
    """Say for the length of the block that this process serves a connection.

    OSError if that cannot be said.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = _path(directory, minor)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def server_of(directory: Path, minor: str) -> int | None:
    """Return a descriptor (pidfd) of the process that serves a connection; None if none does."""
    try:
        descriptor = os.open(_path(directory, minor), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if not (process := _holder(descriptor)):
            return None
        server = os.pidfd_open(process)
        if _holder(descriptor) == process:
            return server
        os.close(server)  # it ended between, and its number may be another's
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise
    finally:
        os.close(descriptor)
    return None


def _holder(descriptor: int) -> int:
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, *_, process = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return 0 if kind == fcntl.F_UNLCK else int(process)


def _path(directory: Path, minor: str) -> Path:
    return directory / f"mount-{minor}.lock"
