"""Calls that block, and some of which never come back, for an event loop.

Each call has a thread of its own. One that is not back in time is given up: who asked gets
ETIMEDOUT, and the thread stays until the call ends, if ever. So no call waits for one that hangs;
but with too many of those lost nothing is begun any more, and the error says so.

Concurrency: the number of lost threads changes only on the event loop.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

T = TypeVar("T")

_MOST_LOST: Final = 256


class Threads:
    """Runs what blocks."""

    def __init__(self, most: int) -> None:
        """`most`: calls that are under way at the same time, without those that were lost."""
        self._room = asyncio.Semaphore(most)
        self._lost = 0

    async def run(self, seconds: float, work: Callable[..., T], *arguments: Any) -> T:
        """Return what `work` gives, or raise what it raises; OSError ETIMEDOUT after `seconds`.

        Cancelling does not end the call: it goes on, and what it gives is dropped.
        """
        if self._lost >= _MOST_LOST:
            raise OSError(errno.EIO, f"{self._lost} calls to HDFS hang")
        async with self._room:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[T] = loop.create_future()
            name = getattr(work, "__name__", "hdfs")
            call = partial(_call, loop, done, partial(work, *arguments))
            threading.Thread(target=call, name=name, daemon=True).start()
            try:
                async with asyncio.timeout(seconds):
                    return await asyncio.shield(done)
            except TimeoutError:
                self._lose(done)
                raise OSError(errno.ETIMEDOUT, "HDFS does not answer in time") from None
            except asyncio.CancelledError:
                self._lose(done)
                raise

    def _lose(self, done: "asyncio.Future[Any]") -> None:
        self._lost += 1
        done.add_done_callback(self._found)

    def _found(self, done: "asyncio.Future[Any]") -> None:
        self._lost -= 1
        done.exception()  # nobody else asks


def _call(
    loop: asyncio.AbstractEventLoop, done: "asyncio.Future[Any]", work: Callable[[], Any]
) -> None:
    result, failure = None, None
    try:
        result = work()
    except Exception as error:  # noqa: BLE001  (whoever waits gets it)
        failure = error
    except BaseException as error:  # noqa: BLE001  (what a library in Rust makes of its bugs)
        failure = RuntimeError(f"{type(error).__name__}: {error}")

    def tell() -> None:
        if done.done():
            return
        if failure is None:
            done.set_result(result)
        else:
            done.set_exception(failure)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the loop is closed: nobody waits
