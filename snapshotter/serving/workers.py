"""Processes for what must not run in the server: work that holds the GIL, and mount(2).

The server answers the kernel, so it must never wait for it: a thread of ours inside mount(2) or
open(2) on our own mount could not even be killed while nobody answers. And building a layer's
metadata would hold the GIL against everybody's reads. So both happen in child processes, which
die with the server.
"""

import asyncio
import importlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from bootseer.errors import HostError
from snapshotter.parent import die_with_parent
from snapshotter.serving.jobs import run_job

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class Workers:
    """*quick* processes, kept, for what somebody waits for; *bulk* ones, a job each, for layers.

    Race-free: the pool is replaced in one step by the event loop's thread, and only by the one
    that saw that very pool break.
    """

    def __init__(self, *, quick: int = 1, bulk: int = 2) -> None:
        """`quick`: processes kept; `bulk`: jobs at once."""
        self._size = quick
        self._pool: ProcessPoolExecutor | None = None
        self._bulk = asyncio.Semaphore(bulk)

    async def quick(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a process that is kept; it and its arguments must pickle.

        HostError if the process dies.
        """
        pool = self._pool = self._pool or self._start()
        try:
            future = pool.submit(work, *args, **kwargs)
            return await asyncio.wrap_future(future)
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = None
                pool.shutdown(wait=False, cancel_futures=True)
            name = getattr(work, "__name__", "job")
            raise HostError(
                f"a worker process died during {name}", hint="out of memory? see the kernel log"
            ) from error

    async def warm(self) -> None:
        """Start the quick processes and let them import what they need, before it is needed."""
        await asyncio.gather(*(self.quick(_ready) for _ in range(self._size)))

    async def bulk(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a process of its own, at lower priority; it is killed if cancelled."""
        async with self._bulk:
            return await run_job(work, *args, **kwargs)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._size,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_initialise,
            initargs=(os.getpid(),),
        )

    def close(self) -> None:
        """Stop the quick processes, without waiting for what they do."""
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            self._pool = None


def _ready() -> None:
    importlib.import_module("snapshotter.serving.materialise")
    importlib.import_module("snapshotter.serving.mounts")
    importlib.import_module("snapshotter.dependencies.files")
    importlib.import_module("numpy.ma")  # else the first np.unique does, in somebody's way


def _initialise(parent: int) -> None:
    """Die with the server and leave its signals to it."""
    if not die_with_parent(signal.SIGKILL, parent):
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
