"""The FUSE connection that the keeper hands over: block files are served on it.

Race-free: `closing` is set by the one who ends it, before it ends.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pyfuse3

from bootseer.errors import HostError
from bootseer.fuse_requests import stop_answering, use_asyncio
from snapshotter.blocks.filesystem import BlockFiles, BlockFilesystem
from snapshotter.blocks.takeover import Handover
from snapshotter.blocks.turn import give_signs_of_life
from snapshotter.starts.assembly import Blocks

FUSE_GONE: Final = os.EX_UNAVAILABLE
"""Exit code: the FUSE connection was aborted or unmounted; the keeper opens a new one."""
_CONNECT_S: Final = 10.0


class FuseGoneError(HostError):
    """The kernel closed the FUSE connection."""

    exit_code = FUSE_GONE


@asynccontextmanager
async def serve_blocks(
    blocks: Blocks, handover: Handover, group: asyncio.TaskGroup
) -> AsyncIterator[None]:
    """Serve block files, and have them read ahead if that is wanted, while the context is open."""
    async with serve_fuse(blocks.files, handover, group):
        if blocks.page_cache is None:
            yield
            return
        async with blocks.page_cache.running():
            yield


@asynccontextmanager
async def serve_fuse(
    files: BlockFiles, handover: Handover, group: asyncio.TaskGroup
) -> AsyncIterator[None]:
    """Answer the kernel while the context is open; it is entered once the connection is ours."""
    connected = asyncio.Event()
    closing = False

    async def main() -> None:
        await pyfuse3.main()
        if not closing:
            raise FuseGoneError("the FUSE connection is gone", hint="was it unmounted or aborted?")

    use_asyncio()
    pyfuse3.init(BlockFilesystem(files, handover, connected.set), handover.mountpoint, set())
    task = group.create_task(main())
    async with asyncio.timeout(_CONNECT_S):
        await connected.wait()
    beating = group.create_task(give_signs_of_life(handover))
    try:
        yield
    finally:
        closing = True
        beating.cancel()
        await stop_answering(task, seconds=1.0)
