"""Has block files read into the kernel's page cache before anybody asks for them.

A process of its own does it (`readahead`), like any other reader of the FUSE mount: it asks the
kernel to read ahead, and the kernel asks the server. The server could put the bytes there itself
(FUSE_NOTIFY_STORE), but that waits, uninterruptibly, for every page that somebody reads just then:
for a read that may be waiting for these very bytes, or, when the server was killed, for the answer
of the next server, which starts once this one is gone.

Race-free: the event loop's thread only. What `/proc/meminfo` said last may be stale, which costs
nothing.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.5
_LEFT: Final = 1 << 30
"""Memory that is left to programs: with less available nothing is put into the page cache."""
_BACKLOG: Final = 64 << 10
"""Bytes of requests that the process may be behind, before it is asked for nothing more."""


@dataclass(slots=True)
class PageCacheCounters:
    """What became of bytes that were to be read into the page cache."""

    stored_bytes: int = 0
    """The kernel was asked to read them."""
    refused_bytes: int = 0
    """Memory was short, or the process too slow or gone."""


class PageCache:
    """The page cache of the block files in one directory. Used inside `running`."""

    def __init__(self, blocks: Path, meminfo: Path = Path("/proc/meminfo")) -> None:
        """`blocks`: the FUSE mount. Nothing below it is touched by this process."""
        self._blocks = str(blocks)
        self._meminfo = meminfo
        self._looked = float("-inf")
        self._room = False
        self._process: asyncio.subprocess.Process | None = None
        self.counters = PageCacheCounters()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the process while the context is open."""
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "snapshotter.blocks.readahead",
            stdin=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            yield
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
            await process.wait()

    def read_soon(self, name: str, offset: int, length: int) -> bool:
        """Have bytes of a block file read into the page cache; False if they will not be."""
        asked = self._has_room() and self._ask(f"{self._blocks}/{name} {offset} {length}\n")
        if asked:
            self.counters.stored_bytes += length
        else:
            self.counters.refused_bytes += length
        return asked

    def _ask(self, line: str) -> bool:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            return False
        if process.stdin.transport.get_write_buffer_size() > _BACKLOG:
            return False
        process.stdin.write(os.fsencode(line))
        return True

    def _has_room(self) -> bool:
        now = time.monotonic()
        if now - self._looked > _LOOK_S:
            self._looked = now
            self._room = available(self._meminfo.read_text(encoding="ascii")) > _LEFT
        return self._room


def available(meminfo: str) -> int:
    """Return the bytes that programs can still have, as /proc/meminfo says; 0 if it does not."""
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if name == "MemAvailable" and number and number[0].isdecimal():
            return int(number[0]) * 1024
    return 0
