"""A snapshots server as a process of its own, to be killed: ROOT SOCKET."""

import asyncio
import sys
from pathlib import Path

from snapshotter.service.server import serve
from snapshotter.snapshots.core import Snapshotter


async def main(root: Path, path: Path) -> None:
    """Serve until killed."""
    core = await Snapshotter.open(root)
    async with serve(core, path) as health:
        health.set_ready()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
