"""One process a root directory: an advisory lock that dies with its holder."""

import asyncio
import fcntl
import os
from pathlib import Path

from bootseer.errors import HostError


class RootLock:
    """The lock on a root directory, held from `take` to `free`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    async def take(cls, root: Path, seconds: float) -> "RootLock":
        """Take the lock, waiting for a process that is just stopping. HostError if it doesn't."""
        path = root / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await _lock(descriptor, path, seconds)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def free(self) -> None:
        """Let the next one have it."""
        os.close(self._descriptor)


async def _lock(descriptor: int, path: Path, seconds: float) -> None:
    pause = 0.05
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if seconds <= 0:
                raise HostError(
                    f"{path} is locked: another process serves this root directory",
                    hint="stop it, or give each its own root directory",
                ) from None
            await asyncio.sleep(pause)
            seconds -= pause
        else:
            return
