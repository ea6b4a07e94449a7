"""A stream that is received before anybody takes it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from bootseer.errors import RemoteError
from snapshotter.starts.ahead import ReceivedAhead


async def counted(log: list[int], *, error: bool = False) -> AsyncGenerator[bytes]:
    try:
        for number in range(20):
            log.append(number)
            yield bytes([number])
        if error:
            raise RemoteError("gone")
    finally:
        log.append(-1)


async def test_pieces_come_in_order_and_some_before_they_are_asked_for() -> None:
    log: list[int] = []
    ahead = ReceivedAhead(counted(log))
    while len(log) < 7:
        await asyncio.sleep(0)
    assert [piece async for piece in ahead] == [bytes([number]) for number in range(20)]
    assert await anext(ahead, b"end") == b"end"
    await ahead.aclose()


async def test_what_goes_wrong_comes_after_what_was_received() -> None:
    ahead = ReceivedAhead(counted([], error=True))
    for _ in range(20):
        await anext(ahead)
    for _ in range(2):
        with pytest.raises(RemoteError, match="gone"):
            await anext(ahead)
    await ahead.aclose()


async def test_closing_closes_the_stream_also_if_nothing_was_taken() -> None:
    log: list[int] = []
    ahead = ReceivedAhead(counted(log))
    while not log:
        await asyncio.sleep(0)
    await ahead.aclose()
    assert log[-1] == -1
