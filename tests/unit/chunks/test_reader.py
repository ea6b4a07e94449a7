import asyncio
import errno
import random
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import KEY, make_world

from bootseer.errors import CorruptError, HostError, RemoteError
from snapshotter.chunks import cachefile
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.fetching import FetchPolicy, Purpose
from snapshotter.chunks.reads import ReadCounters, Source
from snapshotter.chunks.turns import always

SIZES = [5000, 0, 3000, 1, 8192, 0, 4096, 700]
TMP_IS_FINE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@TMP_IS_FINE
@given(st.lists(st.tuples(st.integers(0, 21000), st.integers(0, 9000)), max_size=8))
async def test_every_read_returns_the_bytes_of_the_data_area(
    tmp_path: Path, reads: list[tuple[int, int]]
) -> None:
    (tmp_path / "present").unlink(missing_ok=True)
    with make_world(tmp_path, SIZES) as world:
        got = await asyncio.gather(*(world.reader.read(*read) for read in reads))
        assert [bytes(g) for g in got] == [world.data[o : o + n] for o, n in reads]


async def test_many_readers_of_one_chunk_cause_one_request(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.source.delay = 0.01
        got = await asyncio.gather(*(world.reader.read(0, 4000) for _ in range(50)))
        assert all(bytes(g) == world.data[:4000] for g in got)
        assert len(world.source.asked) == 1


async def test_a_second_read_is_served_without_the_source(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await world.reader.read(0, 100)
        world.source.error = RemoteError("gone")
        assert bytes(await world.reader.read(50, 100)) == world.data[50:150]


async def test_a_run_is_fetched_ahead_and_a_jump_is_not(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 100, ahead_least=2000, ahead_run=2000) as world:
        await world.reader.read(90_000, 100)
        await asyncio.sleep(0.05)
        assert world.reader.counters.fetches == 1
        for offset in range(0, 4000, 500):
            await world.reader.read(offset, 500)
        await asyncio.sleep(0.05)
        assert 6 in world.reader.cache.presence
        assert 12 not in world.reader.cache.presence
        assert world.reader.counters.demand_misses < 5


async def test_the_request_for_a_miss_brings_what_lies_behind_it_and_no_more(
    tmp_path: Path,
) -> None:
    with make_world(tmp_path, [1000] * 100, idle=5000) as world:
        await world.reader.read(50_000, 100)
        while world.tasks:
            await asyncio.sleep(0.01)
        present = [c for c in range(100) if c in world.reader.cache.presence]
        assert present == [50, 51, 52, 53, 54]
        assert len(world.source.asked) == 1
        assert world.reader.counters.demand_misses == 1


async def test_what_lies_behind_a_miss_is_not_fetched_twice_nor_past_the_end(
    tmp_path: Path,
) -> None:
    with make_world(tmp_path, [1000] * 100, idle=5000) as world:
        await world.reader.prefetch(53, 54)
        await world.reader.read(50_000, 100)
        await world.reader.read(99_000, 100)
        while world.tasks:
            await asyncio.sleep(0.01)
        present = [c for c in range(100) if c in world.reader.cache.presence]
        assert present == [50, 51, 52, 53, 99]
        asked = [range(start, start + length - 1) for start, length in world.source.asked]
        assert not set(asked[0]) & set(asked[1])


async def test_what_lies_in_front_of_a_miss_is_asked_for_after_it(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 100, idle=2500, before=3500) as world:
        await world.reader.prefetch(40, 41)
        for at in (50_000, 42_000, 1000):
            await world.reader.read(at, 100)
        while world.tasks:
            await asyncio.sleep(0.01)
        present = [c for c in range(100) if c in world.reader.cache.presence]
        assert present == [*range(4), *range(40, 45), *range(47, 53)]
        starts = [world.reader.chunks.blob_start(chunk) for chunk in (40, 50, 47, 42, 41, 1, 0)]
        assert [start for start, _ in world.source.asked] == starts
        assert world.reader.counters.demand_misses == 3


async def test_a_read_that_asks_for_nothing_beside_it_gets_nothing(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 100, idle=2500, before=3500) as world:
        await world.reader.read(50_000, 100, alone=True)
        while world.tasks:
            await asyncio.sleep(0.01)
        assert [c for c in range(100) if c in world.reader.cache.presence] == [50]


async def test_a_miss_does_not_wait_for_what_its_request_brings_along(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 100, idle=5000) as world:
        world.source.rest = asyncio.Event()
        assert bytes(await world.reader.read(50_000, 100)) == world.data[50_000:50_100]
        assert 51 not in world.reader.cache.presence
        joined = asyncio.create_task(world.reader.read(52_000, 100))
        await asyncio.sleep(0.02)
        assert not joined.done()
        world.source.rest.set()
        assert bytes(await joined) == world.data[52_000:52_100]
        assert len(world.source.asked) == 1


async def test_a_read_of_more_than_one_request_brings_each_chunk_once(tmp_path: Path) -> None:
    with make_world(tmp_path, [3000] * 10, idle=1000, demand_run=2000) as world:
        async with asyncio.timeout(20):
            assert bytes(await world.reader.read(0, 9000)) == world.data[:9000]
            while world.tasks:
                await asyncio.sleep(0.01)
        present = [c for c in range(10) if c in world.reader.cache.presence]
        assert present == [0, 1, 2, 3]
        assert len({start for start, _ in world.source.asked}) == len(world.source.asked) == 3
        assert not world.reader.flying


async def test_bytes_that_came_early_and_are_wrong_are_fetched_again(tmp_path: Path) -> None:
    with make_world(tmp_path, [1000] * 100, idle=5000) as world:
        world.source.rest = asyncio.Event()
        world.source.rest.set()
        world.source.corrupt_next = 1
        assert bytes(await world.reader.read(50_000, 3000)) == world.data[50_000:53_000]
        while world.tasks:
            await asyncio.sleep(0.01)
        assert world.reader.cache.presence.first_missing(50, 57) < 0


async def test_bytes_that_are_wrong_once_are_fetched_again(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.source.corrupt_next = 1
        assert bytes(await world.reader.read(0, 6000)) == world.data[:6000]


async def test_bytes_that_are_wrong_in_a_mirror_are_fetched_from_behind_it(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.source.corrupt_until_doubted = True
        assert bytes(await world.reader.read(0, 6000)) == world.data[:6000]


async def test_bytes_that_stay_wrong_are_an_error_and_never_data(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.source.corrupt_next = 1000
        with pytest.raises(CorruptError, match="another digest"):
            await world.reader.read(0, 100)
        assert 0 not in world.reader.cache.presence
        asked = len(world.source.asked)
        with pytest.raises(CorruptError):
            await world.reader.read(0, 100)
        assert len(world.source.asked) == asked, "a chunk that just failed was fetched again"


async def test_a_source_that_fails_costs_this_read_only(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.source.error = RemoteError("down")
        with pytest.raises(RemoteError, match="down"):
            await world.reader.read(0, 100)
        world.source.error = None
        assert bytes(await world.reader.read(8500, 100)) == world.data[8500:8600]


async def test_a_full_disk_means_serving_without_caching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with make_world(tmp_path, SIZES) as world:
        await world.reader.read(9000, 10)
        with monkeypatch.context() as patch:
            patch.setattr(cachefile, "write_all", full)
            assert bytes(await world.reader.read(0, 16_000)) == world.data[:16_000]
            assert bytes(await world.reader.read(2500, 10)) == world.data[2500:2510]
        assert 0 not in world.reader.cache.presence


async def test_a_cancelled_reader_does_not_cancel_the_fetch_of_others(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.source.delay = 0.05
        first = asyncio.create_task(world.reader.read(0, 100))
        second = asyncio.create_task(world.reader.read(10, 100))
        await asyncio.sleep(0.01)
        first.cancel()
        assert bytes(await second) == world.data[10:110]
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_when_the_fetch_itself_is_cancelled_nobody_waits_for_ever(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.source.delay = 10
        waiting = asyncio.create_task(world.reader.read(0, 100))
        await asyncio.sleep(0.01)
        for task in list(world.tasks):
            task.cancel()
        with pytest.raises(HostError, match="given up"):
            await waiting


async def test_fetch_all_brings_chunks_without_file_data_too(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await world.reader.fetch_all()
        assert world.reader.cache.presence.missing == 0
        assert world.reader.cache.data_path.read_bytes() == world.data
        assert world.reader.cache.blob_path.read_bytes() == world.source.blob


async def test_what_was_flushed_survives_and_what_was_not_is_fetched_again(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await world.reader.read(0, 5000)
        await world.reader.cache.flush()
        await world.reader.read(9000, 5)
    again = CacheFile(tmp_path, key=KEY, chunks=len(SIZES), size=sum(SIZES))
    assert 0 in again.presence
    assert 4 not in again.presence
    again.close()


async def test_a_torn_presence_file_is_ignored(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        await world.reader.read(0, 5000)
        await world.reader.cache.flush()
    present = tmp_path / "present"
    present.write_bytes(present.read_bytes()[:-3] + b"abc")
    again = CacheFile(tmp_path, key=KEY, chunks=len(SIZES), size=sum(SIZES))
    assert again.presence.missing == len(SIZES)
    again.close()


async def test_random_concurrent_reads_with_failures_are_right_or_errors(tmp_path: Path) -> None:
    chance = random.Random(7)
    with make_world(tmp_path, [chance.randrange(3000) for _ in range(60)]) as world:

        async def one() -> None:
            offset, length = chance.randrange(len(world.data)), chance.randrange(20_000)
            world.source.corrupt_next += chance.random() < 0.1
            try:
                got = await world.reader.read(offset, length)
            except CorruptError:
                return
            assert bytes(got) == world.data[offset : offset + length]

        for _ in range(20):
            await asyncio.gather(*(one() for _ in range(10)))


async def test_a_window_that_came_wrong_is_fetched_anew(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        world.source.windows = b"?"
        with pytest.raises(CorruptError):
            await world.reader.read(0, 100)
        world.source.windows = bytes(1)
        world.reader._flights._failures.clear()  # not waiting for a failure to be forgotten
        assert await world.reader.read(0, 100) == world.data[:100]


def test_requests_grow_with_the_run_that_they_are_made_for() -> None:
    policy = FetchPolicy()
    sizes = [policy.ahead_request(mib << 20) >> 20 for mib in (1, 4, 8, 12, 16, 32, 128)]
    assert sizes == [1, 1, 2, 3, 4, 8, 16]


async def test_a_read_says_what_its_bytes_had_to_wait_for(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES) as world:
        first, second = await asyncio.gather(
            world.reader.fetch(0, 6000), world.reader.fetch(5000, 1000)
        )
        assert (first[1], second[1]) == (Source.DEMAND, Source.JOINED)
        assert (await world.reader.fetch(100, 5000))[1] is Source.CACHE
        assert (await world.reader.fetch(5000, 9000))[1] is Source.DEMAND


async def test_reads_are_counted_by_source_and_failures_apart(tmp_path: Path) -> None:
    counters = ReadCounters()
    with make_world(tmp_path, SIZES) as world:
        await counters.count(world.reader.fetch(0, 100))
        data = await counters.count(world.reader.fetch(0, 200))
        assert data == world.data[:200]
        world.source.error = RemoteError("gone")
        with pytest.raises(RemoteError):
            await counters.count(world.reader.fetch(9000, 100))
    assert counters.reads == {Source.CACHE: 1, Source.JOINED: 0, Source.DEMAND: 1}
    assert counters.bytes == {Source.CACHE: 200, Source.JOINED: 0, Source.DEMAND: 100}
    assert counters.failed == 1


async def test_fetched_bytes_are_counted_by_what_they_are_fetched_for(tmp_path: Path) -> None:
    sizes = [1000] * 100
    with make_world(tmp_path, sizes, idle=3000, ahead_least=2000, ahead_run=2000) as world:
        for offset in range(0, 4000, 500):
            await world.reader.read(offset, 500)
        await asyncio.sleep(0.05)
        await world.reader.prefetch(40, 41)
        await world.reader.prefetch(50, 52, Purpose.FILL)
        await world.reader.bring(60_000, 100)
        await world.reader.read(70_000, 100)
        while world.tasks:
            await asyncio.sleep(0.01)
    fetched = world.reader.counters.fetched
    assert all(fetched[purpose] > 0 for purpose in Purpose)
    assert sum(fetched.values()) == sum(length for _, length in world.source.asked)


async def test_a_chunk_that_is_read_is_decoded_before_those_that_are_only_prefetched(
    tmp_path: Path,
) -> None:
    with make_world(tmp_path, [1000] * 20, demand_run=1000) as world:
        threads, free = world.reader._flights.services.threads, threading.Event()
        busy = [asyncio.create_task(threads.run(always, free.wait)) for _ in range(2)]
        prefetch = asyncio.create_task(world.reader.prefetch(0, 20))
        while len(threads._jobs) < 20:
            await asyncio.sleep(0.001)
        read = asyncio.create_task(world.reader.read(19_000, 100, alone=True))
        await asyncio.sleep(0)
        free.set()
        assert bytes(await read) == world.data[19_000:19_100]
        await asyncio.gather(prefetch, *busy)
        assert world.decoded.index(19) <= 1, "there are two threads"


async def test_what_came_because_of_a_read_is_told_of_and_what_was_prefetched_is_not(
    tmp_path: Path,
) -> None:
    told: set[int] = set()

    def keep_hot(offset: int, length: int) -> None:
        told.update(range(offset, offset + length))

    with make_world(tmp_path, [1000] * 100, idle=2500, keep_hot=keep_hot) as world:
        await world.reader.prefetch(50, 60)
        assert told == set()
        await world.reader.read(3000, 10)
        while world.tasks:
            await asyncio.sleep(0.01)
        here = [chunk for chunk in range(50) if chunk in world.reader.cache.presence]
        assert len(here) > 1
        assert here[0] == 3
        assert told == {byte for chunk in here for byte in range(1000 * chunk, 1000 * chunk + 1000)}
