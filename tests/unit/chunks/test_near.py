"""A blob that is near is read by the threads that decode it."""

import asyncio
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from world import SKIP, World, make_world

from bootseer.errors import CorruptError, HostError, NotFoundError
from snapshotter.chunks import cachefile
from snapshotter.chunks.fetching import FetchPolicy, Purpose
from snapshotter.chunks.flights import Services
from snapshotter.chunks.reads import Source
from snapshotter.chunks.turns import Turns


async def settled(world: World) -> None:
    while world.tasks:
        await asyncio.sleep(0.01)


async def test_it_is_read_and_the_source_is_not_asked(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 100, is_near=True) as world:
        data, source = await world.reader.fetch(41_500, 3000)
        assert (bytes(data), source) == (world.data[41_500:44_500], Source.DEMAND)
        assert bytes(await world.reader.read(0, 100_000)) == world.data
        assert world.source.asked == []
        read = sorted(at for start, size in world.near.asked for at in range(start, start + size))
        assert read == list(range(len(world.near.blob))), "each byte once"
        assert world.reader.counters.fetched[Purpose.DEMAND] == len(world.near.blob)


async def test_a_miss_brings_what_lies_on_both_sides_and_does_not_wait_for_it(
    tmp_path: Path,
) -> None:
    with make_world(tmp_path, [1000] * 100, is_near=True, around_near=3500) as world:
        await world.reader.read(50_000, 100)
        assert world.near.asked[0] == (50 * (1000 + SKIP), 1000 + SKIP)
        await settled(world)
        here = [chunk for chunk in range(100) if chunk in world.reader.cache.presence]
        assert here == list(range(47, 54))
        counters = world.reader.counters
        assert counters.fetched[Purpose.DEMAND] == 1000 + SKIP
        assert counters.fetched[Purpose.IDLE] == 6 * (1000 + SKIP)


async def test_bytes_that_are_wrong_once_are_read_again(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 10, is_near=True) as world:
        world.near.corrupt_next = 1
        assert bytes(await world.reader.read(2500, 1000)) == world.data[2500:3500]


async def test_bytes_that_stay_wrong_are_an_error_and_never_data(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 10, is_near=True) as world:
        world.near.corrupt_next = 100
        with pytest.raises(CorruptError, match="another digest"):
            await world.reader.read(2500, 10)
        assert 2 not in world.reader.cache.presence


async def test_what_cannot_be_read_costs_this_read_only(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 10, is_near=True) as world:
        world.near.error = NotFoundError("no such pack")
        with pytest.raises(NotFoundError, match="no such pack"):
            await world.reader.read(2500, 10)
        world.near.error = None
        assert bytes(await world.reader.read(7500, 10)) == world.data[7500:7510]


async def test_one_that_hangs_is_given_up_while_what_is_here_is_served(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 10, is_near=True) as world:
        await world.reader.read(0, 10)
        world.near.patience = 0.05
        world.near.answering.clear()
        hanging = [asyncio.create_task(world.reader.read(at, 10)) for at in (5000, 6000, 7000)]
        await asyncio.sleep(0.01)
        assert bytes(await world.reader.read(0, 1000)) == world.data[:1000]
        for error in await asyncio.gather(*hanging, return_exceptions=True):
            assert isinstance(error, HostError)
            assert "no answer in" in error.message
        world.near.answering.set()
        assert bytes(await world.reader.read(8500, 10)) == world.data[8500:8510]


async def test_a_full_disk_means_serving_without_caching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_world(tmp_path, [1000] * 10, is_near=True) as world:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        monkeypatch.setattr(cachefile.CacheFile, "write_pieces", full)
        assert bytes(await world.reader.read(2500, 1000)) == world.data[2500:3500]
        assert 2 not in world.reader.cache.presence


async def test_what_is_read_is_decoded_before_what_is_prefetched(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 40, is_near=True) as world:
        world.near.answering.clear()
        runs = [asyncio.create_task(world.reader.prefetch(c, c + 2)) for c in range(10, 40, 3)]
        await asyncio.sleep(0.01)
        read = asyncio.create_task(world.reader.read(3000, 10))
        await asyncio.sleep(0.01)
        world.near.answering.set()
        await asyncio.gather(*runs, read)
        place = [start for start, _ in world.near.asked].index(3 * (1000 + SKIP))
        assert place <= 2, "two threads had something to do already"


def test_requests_for_what_is_near_bring_more() -> None:
    policy = FetchPolicy(idle=1000, around_near=5000)
    with ThreadPoolExecutor(1) as executor:
        services = Services(Turns(executor), lambda _: None, policy)
        near = services.near().policy
        assert (near.idle, near.before) == (5000, 5000)
        assert services.near().room is services.room
        assert (services.policy.idle, services.policy.before) == (1000, 0)


async def test_what_came_is_read_from_memory_and_then_from_the_disk(tmp_path: Path) -> None:
    with make_world(tmp_path, [5000] * 10, is_near=True) as world:
        await world.reader.read(12_000, 100)
        os.truncate(world.reader.cache.data_path, 0)
        assert bytes(world.reader.read_now(10_000, 5000) or b"") == world.data[10_000:15_000]
    with make_world(tmp_path, [5000] * 10, is_near=True) as world:
        assert bytes(await world.reader.read(12_000, 100)) == world.data[12_000:12_100]
        world.fresh.clear()
        assert bytes(await world.reader.read(10_000, 5000)) == world.data[10_000:15_000]
        assert len(world.near.asked) == 1


async def test_a_layer_that_is_closed_leaves_nothing_in_memory(tmp_path: Path) -> None:
    with make_world(tmp_path, [5000] * 10, is_near=True) as world:
        await world.reader.read(12_000, 100)
        assert world.fresh.bytes >= 5000
        world.reader.close()
        assert not world.fresh.bytes


async def test_what_is_brought_for_later_is_not_kept_in_memory(tmp_path: Path) -> None:
    with make_world(tmp_path, [5000] * 10, is_near=True) as world:
        await world.reader.fetch_all()
        assert not world.fresh.bytes
        assert bytes(await world.reader.read(10_000, 5000)) == world.data[10_000:15_000]
