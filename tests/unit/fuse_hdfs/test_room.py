"""Memory that writers share."""

import asyncio

from fuse_hdfs.files.room import Room


async def test_who_finds_no_room_waits_until_there_is() -> None:
    room = Room(10)
    await room.take(6)
    waiting = [asyncio.create_task(room.take(size)) for size in (5, 3, 4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [one.done() for one in waiting] == [False, True, False]
    waiting[0].cancel()
    room.give(6)
    await waiting[2]
    assert waiting[0].cancelled()
    room.give(7)
    await room.take(10)


async def test_what_is_larger_than_all_of_it_gets_all() -> None:
    room = Room(10)
    await room.take(15)
    waiting = asyncio.create_task(room.take(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    room.give(15)
    await waiting


async def test_who_waits_for_a_while_only_takes_nothing_if_there_is_nothing() -> None:
    room = Room(10)
    await room.take(8)
    assert not await room.take_within(3, 0.01)
    assert await room.take_within(2, 0.01)
    room.give(10)
    assert await room.take_within(10, 0.01)
