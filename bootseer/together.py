"""Several pieces of work at once: so many and no more, and a failure is raised as it was."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from bootseer.errors import first_error

A = TypeVar("A")
T = TypeVar("T")


async def together(
    work: Callable[[A], Awaitable[T]], arguments: Iterable[A], at_once: int
) -> list[T]:
    """Return what `work` gives for each argument, in order; at most `at_once` are under way.

    Raises what the first one raised that failed; the others are cancelled then.
    """
    slots = asyncio.Semaphore(at_once)

    async def one(argument: A) -> T:
        async with slots:
            return await work(argument)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(argument)) for argument in arguments]
    except BaseExceptionGroup as errors:
        raise first_error(errors) from errors
    return [task.result() for task in tasks]
