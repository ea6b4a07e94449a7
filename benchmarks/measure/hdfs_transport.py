"""What the transport itself reaches from Python: no mount between.

`python -m benchmarks.measure.hdfs_transport STORE FILE` reads all stripes of a file at once and
prints megabits a second; with `one` behind, a plain file in one stream.
"""

import asyncio
import sys
import time
from typing import Final

from fuse_hdfs.files.names import stripe_path
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.stores.store import Store

_PIECE: Final = 4 << 20


async def read_striped(address: str, path: str) -> float:
    """Read every stripe of a file to its end; return megabits a second."""
    async with open_store(address) as store:
        volume = Volume(store, Settings())
        manifest = (await volume.load(path)).manifest
        if manifest is None:
            raise AssertionError("the file is plain")
        start = time.monotonic()
        read = await asyncio.gather(
            *(
                _read(store, stripe_path(segment.id, stripe))
                for segment in manifest.segments
                for stripe in range(segment.stripes)
            )
        )
        took = time.monotonic() - start
        await volume.close()
    return sum(read) * 8 / 1e6 / took


async def read_plain(address: str, path: str) -> float:
    """Read a plain file in one stream; return megabits a second."""
    async with open_store(address) as store:
        start = time.monotonic()
        return await _read(store, path) * 8 / 1e6 / (time.monotonic() - start)


async def _read(store: Store, path: str) -> int:
    size = 0
    async with store.stream(path, 0) as stream:
        while data := await stream.read(_PIECE):
            size += len(data)
    return size


if __name__ == "__main__":
    WORK = read_plain if sys.argv[3:] == ["one"] else read_striped
    print(asyncio.run(WORK(sys.argv[1], sys.argv[2])))
