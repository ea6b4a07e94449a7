"""Packs that are downloaded in order, out of order for who waits, resumed, and given up."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from hot_world import HASTY, HotWorld, hot_world

from bootseer.errors import CorruptError, RemoteError
from snapshotter.chunks.reads import Source
from snapshotter.hot.unpack import OpenedPack
from snapshotter.layers.records import BLOCK
from snapshotter.starts import feed as feeds


def whole(world: HotWorld) -> bytes:
    assert world.cache.presence.missing == 0
    return world.cache.read(0, world.area.size)


def damage(world: HotWorld, frame: int) -> None:
    """Flip a bit of a frame."""
    start, size = world.opened.place(frame)
    damaged = bytearray(world.source.pack)
    damaged[start + size // 2] ^= 1
    world.source.pack = bytes(damaged)


def bring(world: HotWorld, frames: range) -> None:
    """Let a server before us have brought some frames."""
    first, last = frames.start * 4, min(frames.stop * 4, len(world.blocks))
    world.area.write(first, world.right[first * BLOCK : last * BLOCK])
    world.area.mark(first, (last - first) * BLOCK)


async def test_a_pack_comes_in_with_one_request(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        feed = world.feed()
        await feed.run(world.front())
        assert whole(world) == world.right
        assert feed.over
        assert feed.counters.bytes == len(world.source.pack)
        assert feed.counters.frames == world.opened.frames
        assert feed.counters.brought == world.area.size
        assert len(world.source.streamed) == 1
        assert world.source.read_at == []


async def test_who_waits_for_what_comes_soon_waits_for_the_download(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        running = asyncio.create_task(world.feed().run(world.front()))
        await asyncio.sleep(0)
        assert await world.area.read(19 * BLOCK, BLOCK) == world.right[19 * BLOCK :]
        await running
        assert world.source.read_at == []
        assert world.area.reads.reads == {Source.CACHE: 0, Source.JOINED: 1, Source.DEMAND: 0}


async def test_who_waits_for_what_comes_late_overtakes_the_download(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        world.source.stalls = True
        feed = world.feed(HASTY)
        running = asyncio.create_task(feed.run(world.front()))
        reads = [world.area.read(position * BLOCK, BLOCK) for position in (17, 18, 19)]
        assert b"".join(await asyncio.gather(*reads)) == world.right[17 * BLOCK :]
        assert world.source.read_at == [world.opened.place(4)[0]], "one request for all three"
        assert feed.counters.rushed == 1
        assert world.area.reads.reads == {Source.CACHE: 0, Source.JOINED: 3, Source.DEMAND: 0}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_has_come_and_waits_to_be_unpacked_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hot_world(tmp_path) as world:
        go_on = threading.Event()
        unpack = OpenedPack.unpack

        def unpack_later(*arguments: Any) -> Any:
            go_on.wait()
            return unpack(*arguments)

        monkeypatch.setattr(OpenedPack, "unpack", unpack_later)
        feed = world.feed(HASTY)
        running = asyncio.create_task(feed.run(world.front()))
        while feed.counters.bytes < len(world.source.pack):
            await asyncio.sleep(0)
        reading = asyncio.create_task(world.area.read(0, world.area.size))
        await asyncio.sleep(0.01)
        go_on.set()
        assert await reading == world.right
        await running
        assert world.source.read_at == []
        assert feed.counters.rushed == 0


async def test_a_frame_that_cannot_be_had_out_of_turn_is_not_waited_for_again(
    tmp_path: Path,
) -> None:
    with hot_world(tmp_path) as world:
        world.source.stalls = world.source.reads_fail = True
        feed = world.feed(HASTY)
        running = asyncio.create_task(feed.run(world.front()))
        world.cache.refused = frozenset(range(20))  # so that what was read does not stay
        for _ in range(2):
            assert await world.area.read(19 * BLOCK, BLOCK) == world.right[19 * BLOCK :]
        assert feed.counters.rushed == 1
        assert world.data.reads == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_stream_that_ends_early_and_brought_something_is_asked_again(
    tmp_path: Path,
) -> None:
    with hot_world(tmp_path) as world:
        world.source.ends_at = world.opened.place(2)[0] + 5
        feed = world.feed()
        with pytest.raises(RemoteError, match="ends before its frame 2"):
            await feed.run(world.front())
        assert world.source.streamed[1:] == [world.opened.place(2)[0]]
        assert [position in world.cache.presence for position in range(20)] == [True] * 8 + [
            False
        ] * 12


async def test_what_an_earlier_server_brought_is_not_fetched_again(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        bring(world, range(3))
        feed = world.feed()
        await feed.run()
        assert whole(world) == world.right
        assert world.source.streamed == [world.opened.place(3)[0]]
        assert feed.counters.frames == 2


async def test_a_download_from_the_beginning_skips_much_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hot_world(tmp_path) as world:
        monkeypatch.setattr(feeds, "_SKIP", world.opened.place(1)[1])
        bring(world, range(3))
        await world.feed().run(world.front())
        assert whole(world) == world.right
        assert world.source.streamed == [world.opened.place(3)[0]]


async def test_with_everything_there_a_download_that_began_is_ended(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        bring(world, range(5))
        front = world.front()
        await anext(front.pieces)
        await world.feed().run(front)
        assert world.source.closed == 1


async def test_of_a_frame_with_a_flipped_bit_nothing_is_used(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        damage(world, 2)
        with pytest.raises(CorruptError, match="frame 2"):
            await world.feed().run(world.front())
        assert not any(position in world.cache.presence for position in range(8, 12))
        assert await world.area.read(0, world.area.size) == world.right


async def test_who_waits_for_a_frame_with_a_flipped_bit_is_served_from_elsewhere(
    tmp_path: Path,
) -> None:
    with hot_world(tmp_path) as world:
        damage(world, 4)
        running = asyncio.create_task(world.feed().run(world.front()))
        assert await world.area.read(19 * BLOCK, BLOCK) == world.right[19 * BLOCK :]
        assert isinstance((await asyncio.gather(running, return_exceptions=True))[0], CorruptError)


async def test_whoever_waits_is_woken_when_the_feed_is_cancelled(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        world.source.stalls = True
        feed = world.feed()
        running = asyncio.create_task(feed.run(world.front()))
        waiting = feed.expect("sha256:" + "a" * 64, range(20))
        assert len(waiting) == 5
        await asyncio.sleep(0)
        feed.cancel()
        await asyncio.wait(waiting)
        assert (await asyncio.gather(running, return_exceptions=True))[0] is not None
        assert running.cancelled()
        assert feed.over
        assert feed.expect("sha256:" + "a" * 64, range(20)) == ()


async def test_a_disk_that_is_full_ends_the_feed_and_no_read(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        world.cache.refused = frozenset({9})
        with pytest.raises(OSError, match="No space left"):
            await world.feed().run(world.front())
        assert await world.area.read(0, world.area.size) == world.right


async def test_nothing_is_promised_of_layers_that_are_not_in_the_pack(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        assert world.feed().expect("sha256:" + "d" * 64, range(3)) == ()
