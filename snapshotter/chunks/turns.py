"""Jobs for worker threads: those first that somebody waits for.

What is fetched ahead or for later keeps the threads busy for longer than a reader should wait, and
what nobody wanted when it was handed in may be wanted by the time a thread is free. So each job
says whether it is wanted when a thread looks for one.

Race-free: the list is changed under the lock, by the event loop's thread and by the workers. A job
is in it before a thread can look for it, and there are as many looks as jobs: none is left over.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

R = TypeVar("R")


def always() -> bool:
    """Say that somebody waits for a job."""
    return True


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[], Any]
    is_wanted: Callable[[], bool]
    future: "Future[Any]" = field(default_factory=Future)

    def do(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.work()
        except BaseException as error:  # noqa: BLE001 (it is the waiter's)
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Turns:
    """Hands jobs to an executor's threads."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._jobs: list[_Job] = []
        self._lock = threading.Lock()

    async def run(
        self, is_wanted: Callable[[], bool], function: Callable[..., R], *arguments: object
    ) -> R:
        """Call a function in one of the threads; return or raise what it does.

        `is_wanted` is called by any thread, at any time until the job begins.
        """
        job = _Job(partial(function, *arguments), is_wanted)
        with self._lock:
            self._executor.submit(self._next)
            self._jobs.append(job)
        found: R = await asyncio.wrap_future(job.future)
        return found

    def _next(self) -> None:
        with self._lock:
            row = next((row for row, job in enumerate(self._jobs) if job.is_wanted()), 0)
            job = self._jobs.pop(row)
        job.do()
