"""A stream that is received before anybody takes it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from bootseer.errors import RemoteError
from snapshotter.starts.ahead import AheadRoom, ReceivedAhead


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
    ahead = ReceivedAhead(counted(log), AheadRoom(0), own=6)
    while len(log) < 7:
        await asyncio.sleep(0)
    assert [piece async for piece in ahead] == [bytes([number]) for number in range(20)]
    assert await anext(ahead, b"end") == b"end"
    await ahead.aclose()


async def test_what_goes_wrong_comes_after_what_was_received() -> None:
    ahead = ReceivedAhead(counted([], error=True), AheadRoom(0), own=6)
    for _ in range(20):
        await anext(ahead)
    for _ in range(2):
        with pytest.raises(RemoteError, match="gone"):
            await anext(ahead)
    await ahead.aclose()


async def test_closing_closes_the_stream_also_if_nothing_was_taken() -> None:
    log: list[int] = []
    ahead = ReceivedAhead(counted(log), AheadRoom(0), own=6)
    while not log:
        await asyncio.sleep(0)
    await ahead.aclose()
    assert log[-1] == -1


async def received(log: list[int]) -> int:
    """Let a stream go on until it waits; return how many pieces it has given."""
    for _ in range(200):
        await asyncio.sleep(0)
    return len(log)


async def test_a_stream_has_places_of_its_own_and_borrows_what_others_leave() -> None:
    room, logs = AheadRoom(10), ([], [])
    first, second = (ReceivedAhead(counted(log), room, own=6) for log in logs)
    # each holds one more piece in its hand than it has places for
    assert await received(logs[0]) + await received(logs[1]) == 2 * 7 + 10
    while await anext(first, b""):
        pass
    await anext(second)
    assert await received(logs[1]) == 1 + 7 + 10
    await first.aclose()
    await second.aclose()
    third: list[int] = []
    ahead = ReceivedAhead(counted(third), room, own=6)
    assert await received(third) == 7 + 10, "all places were given back"
    await ahead.aclose()


async def sized(sizes: list[int], log: list[int]) -> AsyncGenerator[bytes]:
    for size in sizes:
        log.append(size)
        yield bytes(size)


async def test_room_is_counted_in_bytes_however_they_are_cut() -> None:
    for sizes in ([1] * 200, [10] * 20, [7, 3] * 20):
        log: list[int] = []
        room = AheadRoom(100)
        ahead = ReceivedAhead(sized(sizes, log), room, own=20)
        await received(log)
        assert 120 - max(sizes) < sum(log[:-1]) <= 120
        assert sum([len(piece) async for piece in ahead]) == sum(sizes)
        assert room.take(100), "all of it was given back"
        await ahead.aclose()


async def test_a_piece_larger_than_all_room_is_received_alone() -> None:
    log: list[int] = []
    ahead = ReceivedAhead(sized([50, 50], log), AheadRoom(10), own=20)
    assert await received(log) == 2
    assert [len(piece) async for piece in ahead] == [50, 50]
    await ahead.aclose()


async def test_others_have_their_turn_while_somebody_takes_what_is_at_hand() -> None:
    log: list[int] = []
    ahead = ReceivedAhead(counted(log), AheadRoom(0), own=100)
    await received(log)
    turns = []

    async def other() -> None:
        while True:
            turns.append(ahead.held)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(20):
        await anext(ahead)
    task.cancel()
    assert len(set(turns)) > 10
    await ahead.aclose()
