"""Asyncio from code that is not: one coroutine is run to its end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def wait_for_result(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns; like `asyncio.run`, but its task has no result.

    `asyncio.run` puts a handler for SIGINT in place that knows the task, and taking it away makes
    `signal` format an error message with the handler, with the task, with all of its result. Of a
    tree with tens of thousands of entries that takes a second.
    """
    results: list[T] = []

    async def keep() -> None:
        results.append(await work)

    asyncio.run(keep())
    return results[0]
