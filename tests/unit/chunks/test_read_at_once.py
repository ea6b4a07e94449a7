import asyncio
from pathlib import Path

from world import make_world

SIZES = [5000, 0, 3000, 1, 8192]


async def test_only_what_is_all_there_is_answered_at_once(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        assert world.reader.read_now(0, 100) is None
        await world.reader.read(0, 100)
        assert bytes(world.reader.read_now(10, 100) or b"") == world.data[10:110]
        assert world.reader.read_now(4990, 100) is None, "a part of it is missing"


async def test_the_end_of_the_area_is_answered_short_and_what_is_behind_it_not(
    tmp_path: Path,
) -> None:
    with make_world(tmp_path, SIZES) as world:
        size = len(world.data)
        await world.reader.read(size - 10, 10)
        assert bytes(world.reader.read_now(size - 10, 4096) or b"") == world.data[-10:]
        assert world.reader.read_now(size, 10) is None


async def test_what_is_answered_at_once_counts_and_is_read_ahead_of(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 100, ahead_least=2000, ahead_run=2000) as world:
        await world.reader.prefetch(0, 10)
        before = world.reader.counters.hits
        for offset in range(0, 8000, 500):
            assert world.reader.read_now(offset, 500) is not None
        assert world.reader.counters.hits == before + 16
        while world.tasks:
            await asyncio.sleep(0.01)
        assert 12 in world.reader.cache.presence


async def test_a_read_that_is_not_noticed_has_nothing_fetched(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 100, ahead_least=2000, ahead_run=2000) as world:
        await world.reader.prefetch(0, 10)
        for offset in range(0, 10_000, 500):
            assert world.reader.read_now(offset, 500, noticed=False) is not None
        while world.tasks:
            await asyncio.sleep(0.01)
        assert world.reader.cache.presence.missing == 90
