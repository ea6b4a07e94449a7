"""Stop answering the kernel: ends pyfuse3's main loop under asyncio, whatever comes meanwhile.

Race-free: the event loop's thread only.
"""

import asyncio
from typing import Any, Final

import pyfuse3

_TRIES: Final = 1000


async def stop_answering(serving: "asyncio.Task[None]", seconds: float) -> None:
    """End `pyfuse3.main()`, which runs in `serving`; wait at most `seconds` until it has ended.

    pyfuse3 ends each of its readers by setting an exception in what that one waits for, and trips
    over a reader that a request has just woken or that was cancelled. Such a reader is gone with
    the next turn of the loop, so it is told again then.
    """
    asyncio.get_running_loop().set_exception_handler(_without_woken_readers)
    for _ in range(_TRIES):
        try:
            pyfuse3.terminate()
        except asyncio.InvalidStateError:
            await asyncio.sleep(0)
        else:
            break
    await asyncio.wait([serving], timeout=seconds)


def _without_woken_readers(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Pass over a request that comes for a reader which was told to end just before."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(context)
