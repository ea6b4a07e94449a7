"""What the stripes of a segment hold in memory while they wait for more."""

import asyncio
from pathlib import Path

from fuse_hdfs.files.kept import Keep
from fuse_hdfs.files.room import Room
from fuse_hdfs.files.writing import SegmentWriter, Shared, Striping
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.stores.traffic import Traffic
from tests.counted_bytes import CountedBytes

UNIT = 256 << 10
STRIPES = 4


async def test_stripes_that_wait_for_more_hold_nothing_of_what_the_store_has(
    tmp_path: Path,
) -> None:
    (tmp_path / "store").mkdir()
    async with open_store(f"file://{tmp_path}/store") as store:
        room = Room(STRIPES * UNIT)
        shared = Shared(store, Traffic(), room, Keep(tmp_path, 1 << 30), 90.0)
        writer = SegmentWriter(shared, Striping(UNIT, STRIPES))
        for _ in range(2 * STRIPES):
            await writer.add((CountedBytes(UNIT // 2), CountedBytes(UNIT // 2)))
        async with asyncio.timeout(60):
            await room.take(STRIPES * UNIT)  # the store has had all of them
            while CountedBytes.alive:  # and whoever kept them is done with the last
                await asyncio.sleep(0.01)
        await writer.abandon()
