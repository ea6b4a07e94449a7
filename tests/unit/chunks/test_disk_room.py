"""A disk that takes no more: reads go on, and it is said once."""

import asyncio
import errno
import logging
import os
from pathlib import Path

import pytest
from world import make_world

from snapshotter.chunks import flights
from snapshotter.chunks import room as rooms
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.room import DiskRoom


class Disk:
    """Lets writes of a cache file through, or refuses them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        write = CacheFile.write_pieces

        def guarded(cache: CacheFile, offset: int, data: list[bytes]) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(cache, offset, data)

        monkeypatch.setattr(CacheFile, "write_pieces", guarded)


async def test_a_full_disk_is_told_once_and_caching_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    disk = Disk(monkeypatch)
    monkeypatch.setattr(rooms, "_QUIET_S", 0.0)
    with make_world(tmp_path, [5000] * 8) as world:
        for offset in range(0, 20_000, 1000):
            assert await world.reader.read(offset, 1000) == world.data[offset : offset + 1000]
        assert world.reader.cache.presence.missing == 8
        disk.full = False
        assert await world.reader.read(20_000, 20_000) == world.data[20_000:]
        assert world.reader.cache.presence.missing < 8
    said = [record.message for record in caplog.records if record.message.startswith("cache.")]
    assert said == ["cache.disk_refuses", "cache.disk_takes_again"]


async def test_chunks_that_memory_cannot_hold_all_are_never_answered_with_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch)
    monkeypatch.setattr(flights, "_UNCACHED_BYTES", 12_000)
    sizes = [5000] * 6 + [20_000] + [5000] * 3
    with make_world(tmp_path, sizes, demand_run=6000) as world:
        whole = world.reader.read(0, len(world.data))
        parts = [world.reader.read(offset, 5000) for offset in range(0, 30_000, 5000)]
        answers = await asyncio.gather(whole, *parts)
        assert answers[0] == world.data
        assert b"".join(answers[1:]) == world.data[:30_000]


async def test_a_chunk_fetched_again_is_not_given_up_with_the_fetch_that_brought_it_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch)
    monkeypatch.setattr(flights, "_UNCACHED_BYTES", 6_000)  # one chunk
    with make_world(tmp_path, [5000] * 12, demand_run=100_000) as world:

        async def walk() -> None:
            for offset in range(0, 60_000, 5000):
                expected = world.data[offset : offset + 5000]
                assert await world.reader.read(offset, 5000) == expected

        await asyncio.gather(world.reader.read(0, 60_000), *(walk() for _ in range(8)))
        assert world.reader.counters.failures == 0


def test_a_disk_that_takes_some_and_refuses_some_is_not_told_of_again_and_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    now = 100.0
    room = DiskRoom(lambda: now)
    for _ in range(3):
        assert room.refused(OSError(errno.ENOSPC, "full"))
        room.taken()
    assert room.refusing
    now += 60
    room.taken()
    assert not room.refusing
    assert [r.message for r in caplog.records] == ["cache.disk_refuses", "cache.disk_takes_again"]


def test_errors_that_are_not_the_disks_are_not_swallowed() -> None:
    assert not DiskRoom().refused(OSError(errno.EBADF, "bad descriptor"))
