"""Turns at a stripe."""

import asyncio
from collections import Counter

import pytest

from fuse_hdfs.files.turns import Turns


async def test_so_many_read_a_stripe_at_once_in_the_order_in_which_they_came() -> None:
    turns, busy, peak = Turns(2), Counter[str](), Counter[str]()
    done: list[tuple[str, int]] = []

    async def read(stripe: str, number: int) -> None:
        async with turns.turn(stripe):
            busy[stripe] += 1
            peak[stripe] = max(peak[stripe], busy[stripe])
            await asyncio.sleep(0.001)
            busy[stripe] -= 1
            done.append((stripe, number))

    await asyncio.gather(*(read(stripe, number) for number in range(10) for stripe in "ab"))
    assert peak == {"a": 2, "b": 2}
    assert [number for stripe, number in done if stripe == "a"] == list(range(10))
    assert len(turns) == 0


async def test_who_gives_up_or_fails_leaves_his_turn_to_the_next() -> None:
    turns = Turns(1)
    entered = asyncio.Event()

    async def hold() -> None:
        async with turns.turn("a"):
            entered.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await entered.wait()
    waiting = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting.cancel()
    holder.cancel()
    await asyncio.wait([holder, waiting])
    with pytest.raises(OSError, match="broken"):
        async with turns.turn("a"):
            raise OSError("broken")
    async with asyncio.timeout(1), turns.turn("a"):
        pass
    assert len(turns) == 0
