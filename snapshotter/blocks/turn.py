"""What a server tells its keeper: that it could serve, that it is alive (see `serverprocess`)."""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Final

from snapshotter.blocks.takeover import READY, Handover

_BEAT_S: Final = 1.0


async def await_turn(handover: Handover, stop: asyncio.Event) -> bool:
    """Say that we could serve; return once the connection is to be ours, False if it never will:
    the keeper is gone, or `stop` is set.

    What is read from disk before may be changed by the server that still serves.
    """
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_reader(handover.session, came.set)
    waits = [asyncio.create_task(event.wait()) for event in (came, stop)]
    try:
        with suppress(BrokenPipeError):  # a keeper from before an upgrade does not listen
            os.write(handover.session, READY)
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(handover.session)
        for task in waits:
            task.cancel()
    return came.is_set() and not stop.is_set() and _has_request(handover.session)


def _has_request(session: int) -> bool:
    """Say whether the keeper has written something, and not just ended."""
    with socket.fromfd(session, socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        return bool(channel.recv(1, socket.MSG_PEEK))


async def give_signs_of_life(handover: Handover) -> None:
    """Write to the keeper every second, as long as this event loop turns, until cancelled."""
    while handover.beats is not None:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(handover.beats, b".")
        await asyncio.sleep(_BEAT_S)
