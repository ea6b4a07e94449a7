"""Locks by key, and the gate for many or one."""

import asyncio

import pytest

from snapshotter.snapshots.waiting import Gate, KeyedLocks


async def test_the_same_key_is_held_by_one_at_a_time_and_forgotten() -> None:
    locks = KeyedLocks()
    inside: list[str] = []
    most = 0

    async def hold(key: str) -> None:
        nonlocal most
        async with locks.hold(key):
            inside.append(key)
            most = max(most, len(inside))
            assert inside.count(key) == 1
            await asyncio.sleep(0)
            inside.remove(key)

    await asyncio.gather(*(hold(key) for key in "aaabbbccc"))
    assert most == 3
    assert len(locks) == 0


async def test_a_holder_that_fails_or_is_cancelled_lets_the_next_one_in() -> None:
    locks = KeyedLocks()

    async def wait() -> None:
        async with locks.hold("k"):
            await asyncio.Event().wait()

    holding, waiting = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    holding.cancel()
    await asyncio.gather(holding, waiting, return_exceptions=True)
    with pytest.raises(KeyError):
        async with locks.hold("k"):
            raise KeyError
    assert len(locks) == 0


async def test_one_alone_waits_for_all_and_all_wait_for_one() -> None:
    gate = Gate()
    log: list[str] = []

    async def shared(name: str) -> None:
        async with gate.shared():
            log.append(f"+{name}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append(f"-{name}")

    async def alone(name: str) -> None:
        async with gate.alone():
            log.append(f"+{name}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append(f"-{name}")

    await asyncio.gather(
        shared("a"), shared("b"), alone("X"), alone("Y"), shared("c"), alone("Z"), shared("d")
    )
    for name in "XYZ":
        start = log.index(f"+{name}")
        assert log[start + 1] == f"-{name}"
        before = log[:start]
        entered = {entry[1] for entry in before if entry[0] == "+"}
        assert entered == {entry[1] for entry in before if entry[0] == "-"}
    assert len(log) == 14


async def test_cancelled_waiters_do_not_block_the_gate() -> None:
    gate = Gate()

    async def alone() -> None:
        async with gate.alone():
            await asyncio.Event().wait()

    first, second = asyncio.create_task(alone()), asyncio.create_task(alone())
    await asyncio.sleep(0)
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    async with gate.shared(), gate.shared():
        pass
    async with gate.alone():
        pass
