"""The cache of units, and how far is read ahead."""

import asyncio

import pytest

from fuse_hdfs.files.units import UnitCache


class Source:
    """Units that come when they are let go."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.gate = asyncio.Event()
        self.flying = self.most = 0

    async def unit(self, number: int) -> bytes:
        self.asked.append(number)
        self.flying += 1
        self.most = max(self.most, self.flying)
        await self.gate.wait()
        self.flying -= 1
        return bytes([number]) * 100

    def get(self, cache: UnitCache, number: int) -> "asyncio.Task[bytes]":
        return asyncio.create_task(cache.get(("s", number), 100, lambda: self.unit(number)))


async def test_a_unit_that_many_want_is_fetched_once() -> None:
    cache, source = UnitCache(1000), Source()
    wanted = [source.get(cache, 1) for _ in range(5)]
    await asyncio.sleep(0)
    wanted[0].cancel()
    source.gate.set()
    found = await asyncio.gather(*wanted[1:])
    assert (found, source.asked) == ([b"\1" * 100] * 4, [1])
    assert await source.get(cache, 1) == b"\1" * 100
    assert source.asked == [1]
    await cache.close()


async def test_what_is_kept_and_what_is_fetched_stay_within_the_room() -> None:
    cache, source = UnitCache(350), Source()
    wanted = [source.get(cache, number) for number in range(20)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert source.flying == 3
    source.gate.set()
    assert [unit[0] for unit in await asyncio.gather(*wanted)] == list(range(20))
    assert source.most == 3
    assert await source.get(cache, 19) == bytes([19]) * 100
    assert len(source.asked) == 20  # the youngest was kept
    await cache.close()


async def test_reading_ahead_leaves_half_of_the_room() -> None:
    cache, source = UnitCache(1000), Source()
    began = [cache.bring(("s", n), 100, lambda n=n: source.unit(n)) for n in range(10)]
    assert began == [True] * 5 + [False] * 5
    source.gate.set()
    assert await source.get(cache, 3) == bytes([3]) * 100
    await cache.close()


async def test_what_was_brought_ahead_is_there_when_its_reader_comes() -> None:
    cache, source = UnitCache(1000), Source()
    source.gate.set()
    for number in range(100):
        for ahead in range(number, number + 6):
            cache.bring(("s", ahead), 100, lambda n=ahead: source.unit(n))
        for _ in range(3):
            assert await source.get(cache, number) == bytes([number]) * 100
    assert sorted(source.asked) == sorted(set(source.asked))
    await cache.close()


async def test_what_was_read_to_its_end_goes_first() -> None:
    cache, source = UnitCache(300), Source()
    source.gate.set()
    for number in (1, 2, 3):
        await source.get(cache, number)
    cache.used(("s", 1), 60)
    cache.used(("s", 2), 60)
    cache.used(("s", 2), 40)
    await source.get(cache, 4)
    assert [cache.kept(("s", number)) is not None for number in (1, 2, 3, 4)] == [1, 0, 1, 1]
    await source.get(cache, 5)
    assert [cache.kept(("s", number)) is not None for number in (1, 3, 4, 5)] == [0, 1, 1, 1]
    await cache.close()


async def test_a_failure_is_told_to_who_asks_and_is_not_kept() -> None:
    cache, calls = UnitCache(1000), []

    async def fail() -> bytes:
        calls.append(1)
        if len(calls) == 3:
            return b"at last"
        raise OSError(5, "no")

    assert cache.bring(("s", 1), 100, fail)
    with pytest.raises(OSError, match="no"):
        await cache.get(("s", 1), 100, fail)
    with pytest.raises(OSError, match="no"):
        await cache.get(("s", 1), 100, fail)
    assert await cache.get(("s", 1), 100, fail) == b"at last"
    await cache.close()
