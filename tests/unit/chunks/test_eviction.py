import asyncio
import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import KEY, World, make_world

from bootseer.errors import RemoteError
from snapshotter.chunks import cachefile
from snapshotter.chunks.cachefile import CacheFile

SIZES = [40_000] * 20
TMP_IS_FINE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


async def filled(world: World) -> None:
    await world.reader.fetch_all()
    await world.reader.cache.flush()


def blocks(path: Path) -> int:
    return path.stat().st_blocks


async def test_what_is_evicted_gives_its_space_back_and_is_fetched_again(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await filled(world)
        before = blocks(world.reader.cache.data_path)
        assert await world.reader.evict(400_000) == 400_000
        assert world.reader.cache.presence.missing == 10
        assert blocks(world.reader.cache.data_path) <= before // 2 + 8
        assert bytes(await world.reader.read(0, len(world.data))) == world.data
        assert world.reader.cache.data_path.read_bytes() == world.data
        assert world.reader.cache.blob_path.read_bytes() == world.source.blob


async def test_evicting_more_than_there_is_evicts_all(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await world.reader.read(0, 1)
        assert await world.reader.evict(1 << 40) == 40_000
        assert await world.reader.evict(1 << 40) == 0


async def test_after_a_crash_nothing_that_was_evicted_counts_as_present(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await filled(world)
        await world.reader.evict(1)
        again = CacheFile(tmp_path, key=KEY, chunks=len(SIZES), size=sum(SIZES))
        assert 0 not in again.presence
        assert again.presence.missing == 1
        again.close()


async def test_the_presence_on_disk_is_behind_before_the_hole_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(descriptor: int, offset: int, length: int) -> None:
        again = CacheFile(tmp_path, key=KEY, chunks=len(SIZES), size=sum(SIZES))
        seen.append(0 in again.presence)
        again.close()

    monkeypatch.setattr(cachefile, "punch_hole", look)
    with make_world(tmp_path, SIZES) as world:
        await filled(world)
        await world.reader.evict(1)
    assert seen == [False, False]


async def test_a_disk_too_full_for_the_presence_says_that_nothing_is_there_and_evicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with make_world(tmp_path, SIZES) as world:
        await filled(world)
        with monkeypatch.context() as patch:
            patch.setattr(cachefile, "write_atomic", full)
            assert await world.reader.evict(1) == 40_000
        assert not (tmp_path / "present").exists()
        await world.reader.cache.flush()
        again = CacheFile(tmp_path, key=KEY, chunks=len(SIZES), size=sum(SIZES))
        assert again.presence.missing == 1
        again.close()


async def test_what_is_being_read_is_not_evicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_world(tmp_path, SIZES) as world:
        await filled(world)
        monkeypatch.setattr(world.reader.cache, "read_nowait", lambda offset, length: None)
        reading = asyncio.create_task(world.reader.read(50_000, 10))
        await asyncio.sleep(0)
        assert await world.reader.evict(1 << 40) == 19 * 40_000
        assert bytes(await reading) == world.data[50_000:50_010]
        assert 1 in world.reader.cache.presence


async def test_nothing_is_evicted_of_a_layer_that_is_held(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await filled(world)
        with world.reader.holding():
            assert await world.reader.evict(1 << 40) == 0
        assert await world.reader.evict(1 << 40) == sum(SIZES)


async def test_an_eviction_that_is_cancelled_is_finished(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await filled(world)
        evicting = asyncio.create_task(world.reader.evict(1 << 40))
        await asyncio.sleep(0)
        evicting.cancel()
        assert bytes(await world.reader.read(0, len(world.data))) == world.data


@TMP_IS_FINE
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.integers(0, 60_000), st.integers(1, 9000)),
            st.tuples(st.just("evict"), st.integers(1, 60_000), st.just(0)),
            st.tuples(st.just("flush"), st.just(0), st.just(0)),
        ),
        max_size=12,
    )
)
async def test_reads_among_evictions_return_the_bytes_of_the_data_area(
    tmp_path: Path, steps: list[tuple[str, int, int]]
) -> None:
    (tmp_path / "present").unlink(missing_ok=True)
    sizes = [5000, 0, 3000, 1, 8192, 0, 4096, 700, 40_000]
    with make_world(tmp_path, sizes) as world:

        async def one(kind: str, a: int, b: int) -> None:
            if kind == "read":
                assert bytes(await world.reader.read(a, b)) == world.data[a : a + b]
            elif kind == "evict":
                await world.reader.evict(a)
            else:
                await world.reader.cache.flush()

        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(one(*step))
        await world.reader.cache.flush()
        with world.reader.cache.data_path.open("rb") as file:
            for chunk in range(len(sizes)):
                start, end = world.reader.chunks.data(chunk)
                if chunk in world.reader.cache.presence:
                    assert os.pread(file.fileno(), end - start, start) == world.data[start:end]


async def test_what_is_wrong_in_the_cache_is_fetched_again_when_it_is_wanted(
    tmp_path: Path,
) -> None:
    with make_world(tmp_path, SIZES) as world:
        await filled(world)
        world.reader.cache.write(10, b"damaged")
        world.reader.distrust([0])
        assert bytes(await world.reader.read(0, 100)) == world.data[:100]


async def test_a_cache_at_its_bound_serves_without_keeping(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.room.close("full")
        assert bytes(await world.reader.read(0, 100)) == world.data[:100]
        assert 0 not in world.reader.cache.presence
        world.room.open()
        assert bytes(await world.reader.read(50_000, 100)) == world.data[50_000:50_100]
        assert 1 in world.reader.cache.presence
        world.source.error = RemoteError("gone")
        assert bytes(await world.reader.read(50_000, 100)) == world.data[50_000:50_100]
