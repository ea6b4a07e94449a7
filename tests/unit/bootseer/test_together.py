"""Several pieces of work at once."""

import asyncio

import pytest

from bootseer.errors import RemoteError
from bootseer.together import together


async def test_results_come_in_the_order_of_the_arguments_and_so_many_run_at_once() -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - number):
            await asyncio.sleep(0)
        running -= 1
        return number * number

    assert await together(work, range(10), 3) == [number * number for number in range(10)]
    assert most == 3
    assert await together(work, [], 3) == []


async def test_the_first_failure_is_raised_as_it_was_and_ends_the_others() -> None:
    ended = []

    async def work(number: int) -> None:
        if number == 1:
            raise RemoteError("no")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(RemoteError, match="no"):
        await together(work, range(3), 3)
    assert sorted(ended) == [0, 2]
