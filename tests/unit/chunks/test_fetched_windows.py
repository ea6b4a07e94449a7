import asyncio

import numpy as np
import pytest
from world import FakeSource, block_map

from bootseer.errors import RemoteError
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.windows import GROUP, Windows, new_cache

EACH = GROUP // 2
COUNT = 60
"""Chunks, hence thirty groups."""
BLOB = "sha256:" + "c" * 64


def made() -> tuple[Windows, FakeSource, bytes]:
    found, _, _ = block_map([1] * COUNT)
    found.chunks.window[:] = np.arange(COUNT + 1, dtype=np.uint64) * np.uint64(EACH)
    blob = b"".join(number.to_bytes(2, "little") * (EACH // 2) for number in range(COUNT))
    source = FakeSource(blob)
    return Windows(BLOB, ChunkMap(found), source, new_cache()), source, blob


def window(blob: bytes, chunk: int) -> bytes:
    return blob[chunk * EACH : (chunk + 1) * EACH]


async def test_neighbours_come_with_one_request() -> None:
    windows, source, blob = made()
    got = await windows.get_all(10, 20)
    assert got == [window(blob, chunk) for chunk in range(10, 20)]
    assert len(source.asked) == 1


async def test_misses_in_a_row_bring_more_each_time_and_others_do_not() -> None:
    windows, source, blob = made()
    for chunk in range(20, COUNT):
        assert await windows.get_all(chunk, chunk + 1) == [window(blob, chunk)]
    groups = [length // GROUP for _, length in source.asked]
    assert groups == [1, 2, 4, 8, 5]
    await windows.get_all(5, 6)
    await windows.get_all(0, 1)
    assert [length // GROUP for _, length in source.asked[5:]] == [1, 1]


async def test_who_asks_at_the_same_time_shares_a_request() -> None:
    windows, source, blob = made()
    source.delay = 0.01
    got = await asyncio.gather(*(windows.get_all(3, 9) for _ in range(10)))
    assert all(found == [window(blob, chunk) for chunk in range(3, 9)] for found in got)
    assert len(source.asked) == 1


async def test_a_request_that_failed_is_made_again() -> None:
    windows, source, blob = made()
    source.error = RemoteError("gone")
    with pytest.raises(RemoteError):
        await windows.get_all(0, 4)
    source.error = None
    assert await windows.get_all(0, 4) == [window(blob, chunk) for chunk in range(4)]


async def test_a_window_that_is_doubted_is_fetched_anew() -> None:
    windows, source, _ = made()
    await windows.get_all(0, 4)
    await windows.doubt(0)
    await windows.get_all(0, 4)
    assert source.asked == [(0, 2 * GROUP), (0, GROUP)]
