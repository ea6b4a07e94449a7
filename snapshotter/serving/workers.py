"""Processes for what must not run in the server: work that holds the GIL, and mount(2).

The server answers the kernel, so it must never wait for it: a thread of ours inside mount(2) or
open(2) on our own mount could not even be killed while nobody answers. And building a layer's
metadata would hold the GIL against everybody's reads. So both happen in child processes, which
die with the server.
"""

import asyncio
import ctypes
import importlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, ParamSpec, TypeVar

from bootseer.errors import HostError

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_PR_SET_PDEATHSIG: Final = 1
_NICE: Final = 5


class Workers:
    """Two pools: *quick* for what somebody waits for, *bulk* for whole layers, a process a job.

    Race-free: a pool is replaced in one step by the event loop's thread, and only by the one that
    saw that very pool break.
    """

    def __init__(self, *, quick: int = 1, bulk: int = 2) -> None:
        """`quick` and `bulk`: processes in each pool."""
        self._sizes = {"quick": quick, "bulk": bulk}
        self._pools: dict[str, ProcessPoolExecutor] = {}

    async def quick(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a process that is kept; it and its arguments must pickle."""
        return await self._run("quick", work, *args, **kwargs)

    async def warm(self) -> None:
        """Start the quick processes and let them import what they need, before it is needed."""
        await asyncio.gather(*(self.quick(_ready) for _ in range(self._sizes["quick"])))

    async def bulk(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a process of its own, at lower priority, for as long as it takes."""
        return await self._run("bulk", work, *args, **kwargs)

    async def _run(self, kind: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        pool = self._pools.get(kind) or self._start(kind)
        try:
            future = pool.submit(work, *args, **kwargs)
            return await asyncio.wrap_future(future)
        except BrokenProcessPool as error:
            if self._pools.get(kind) is pool:
                del self._pools[kind]
                pool.shutdown(wait=False, cancel_futures=True)
            name = getattr(work, "__name__", "job")
            raise HostError(
                f"a worker process died during {name}", hint="out of memory? see the kernel log"
            ) from error

    def _start(self, kind: str) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(
            self._sizes[kind],
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_initialise,
            initargs=(os.getpid(), _NICE if kind == "bulk" else 0),
            max_tasks_per_child=1 if kind == "bulk" else None,
        )
        self._pools[kind] = pool
        return pool

    def close(self) -> None:
        """Stop all workers, without waiting for what they do."""
        for pool in self._pools.values():
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
        self._pools.clear()


def _ready() -> None:
    importlib.import_module("snapshotter.serving.materialise")
    importlib.import_module("snapshotter.serving.mounts")


def _initialise(parent: int, nice: int) -> None:
    """Die with the server, leave its signals to it, yield to it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if nice:
        os.nice(nice)
