"""What a server tells its keeper: that it could serve, that it is alive (see `serverprocess`)."""

import asyncio
import os
from contextlib import suppress
from typing import Final

from snapshotter.blocks.takeover import READY, Handover

_BEAT_S: Final = 1.0


async def await_turn(handover: Handover) -> None:
    """Say that we could serve; return when the connection is to be ours.

    What is read from disk before may be changed by the server that still serves.
    """
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_reader(handover.session, came.set)
    try:
        with suppress(BrokenPipeError):  # a keeper from before an upgrade does not listen
            os.write(handover.session, READY)
        await came.wait()
    finally:
        loop.remove_reader(handover.session)


async def give_signs_of_life(handover: Handover) -> None:
    """Write to the keeper every second, as long as this event loop turns, until cancelled."""
    while handover.beats is not None:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(handover.beats, b".")
        await asyncio.sleep(_BEAT_S)
