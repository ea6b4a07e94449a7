"""What somebody waits for goes first."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from snapshotter.chunks.turns import Turns, always


def never() -> bool:
    return False


async def test_a_job_that_is_wanted_when_a_thread_is_free_goes_before_older_ones() -> None:
    done: list[str] = []
    busy = threading.Event()
    wanted: set[str] = set()
    with ThreadPoolExecutor(1) as executor:
        turns = Turns(executor)
        jobs = [asyncio.create_task(turns.run(never, busy.wait))]
        for name in ("one", "two", "three"):
            is_wanted = lambda name=name: name in wanted  # noqa: E731
            jobs.append(asyncio.create_task(turns.run(is_wanted, done.append, name)))
        jobs.append(asyncio.create_task(turns.run(always, done.append, "at once")))
        await asyncio.sleep(0)
        wanted.add("three")  # somebody came to wait for it after it was handed in
        busy.set()
        await asyncio.gather(*jobs)
    assert done == ["three", "at once", "one", "two"]


async def test_what_a_job_raises_reaches_who_waits_and_the_thread_goes_on() -> None:
    def fails() -> None:
        raise ValueError("broken")

    with ThreadPoolExecutor(1) as executor:
        turns = Turns(executor)
        with pytest.raises(ValueError, match="broken"):
            await turns.run(always, fails)
        assert await turns.run(always, int, "7") == 7


async def test_a_job_given_up_before_its_turn_is_not_done() -> None:
    done: list[str] = []
    busy = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        turns = Turns(executor)
        first = asyncio.create_task(turns.run(always, busy.wait))
        second = asyncio.create_task(turns.run(always, done.append, "given up"))
        third = asyncio.create_task(turns.run(always, done.append, "wanted"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        busy.set()
        await asyncio.gather(first, third)
    assert second.cancelled()
    assert done == ["wanted"]
