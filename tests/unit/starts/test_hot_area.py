"""Whatever comes, fails or is late: a read of a hot area is right, or an error."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hot_world import HASTY, PATIENT, HotWorld, hot_world
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import BootseerError, RemoteError
from snapshotter.chunks.reads import Source
from snapshotter.layers.records import BLOCK
from snapshotter.starts.area import FeedCounters
from snapshotter.starts.feed import FeedRules

HOT = 20
"""Blocks of the world's hot area."""
SIZE = HOT * BLOCK


@st.composite
def reads(draw: st.DrawFn) -> tuple[int, int, int]:
    """Draw when to read (in turns of the event loop), offset and length."""
    offset = draw(st.integers(0, SIZE + BLOCK))
    return draw(st.integers(0, 40)), offset, draw(st.integers(0, SIZE))


@dataclass(frozen=True)
class Trouble:
    """What goes wrong."""

    kind: str
    at: int
    """Where in the pack."""
    reads_fail: bool
    """Frames cannot be had out of turn."""
    chunks_fail: bool
    """Nor can anything from the data area."""
    refused: frozenset[int]
    """Blocks that the disk does not take."""

    def make(self, world: HotWorld) -> None:
        front = world.opened.directory.head.frames_at
        place = front + self.at % (len(world.source.pack) - front)
        world.source.reads_fail = self.reads_fail
        world.data.fails = self.chunks_fail
        world.cache.refused = self.refused
        if self.kind == "stream fails":
            world.source.fails_at = place
        if self.kind == "stream ends":
            world.source.ends_at = place
        if self.kind == "a bit flips":
            damaged = bytearray(world.source.pack)
            damaged[place] ^= 16
            world.source.pack = bytes(damaged)


troubles = st.builds(
    Trouble,
    kind=st.sampled_from(["none", "stream fails", "stream ends", "a bit flips", "cancelled"]),
    at=st.integers(0, 60_000),
    reads_fail=st.booleans(),
    chunks_fail=st.booleans(),
    refused=st.frozensets(st.integers(0, HOT - 1), max_size=3),
)


@given(st.lists(reads(), min_size=1, max_size=12), st.sampled_from([HASTY, PATIENT]), troubles)
def test_any_interleaving_of_arrivals_reads_and_failures_gives_right_bytes_or_an_error(
    wanted: list[tuple[int, int, int]], rules: FeedRules, trouble: Trouble
) -> None:
    async def one(world: HotWorld, turn: int, offset: int, length: int) -> None:
        for _ in range(turn):
            await asyncio.sleep(0)
        try:
            found = await world.area.read(offset, length)
        except RemoteError:
            assert trouble.chunks_fail
        else:
            assert found == world.right[offset : offset + length]

    async def everything(world: HotWorld) -> None:
        trouble.make(world)
        feed = world.feed(rules)
        filling = asyncio.create_task(feed.run(world.front()))
        reading = [asyncio.create_task(one(world, *each)) for each in wanted]
        await asyncio.sleep(0)
        if trouble.kind == "cancelled":
            feed.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        await asyncio.gather(*reading)

    with tempfile.TemporaryDirectory() as directory, hot_world(Path(directory)) as world:
        asyncio.run(everything(world))
        for position in filter(world.cache.presence.__contains__, range(HOT)):
            held = world.cache.read(position * BLOCK, BLOCK)
            assert held == world.right[position * BLOCK : (position + 1) * BLOCK]


async def test_reads_without_a_feed_come_from_the_data_area_and_stay(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        assert await world.area.read(5000, 3 * BLOCK) == world.right[5000 : 5000 + 3 * BLOCK]
        before = world.data.reads
        assert await world.area.read(BLOCK, 4 * BLOCK) == world.right[BLOCK : 5 * BLOCK]
        assert world.data.reads == before
        reads = world.area.reads.reads
        assert reads == {Source.CACHE: 1, Source.JOINED: 0, Source.DEMAND: 1}


async def test_blocks_that_follow_each_other_in_the_layer_are_read_with_one_request(
    tmp_path: Path,
) -> None:
    with hot_world(tmp_path, [7, 8, 9, 3, 20, 21]) as world:
        assert await world.area.read(0, 6 * BLOCK) == world.right
        assert world.data.reads == 3


async def test_a_read_past_the_end_is_short(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        assert await world.area.read(SIZE - 10, 100) == world.right[-10:]
        assert await world.area.read(SIZE, 1) == b""
        assert await world.area.read(SIZE + 5, 100) == b""
        assert sum(world.area.reads.bytes.values()) == 10


class Promising:
    """A feed that promises blocks and never brings them."""

    over = False

    def __init__(self) -> None:
        self.counters = FeedCounters()
        self.asked = 0
        self.promise = asyncio.get_running_loop().create_future()

    def expect(self, layer: str, positions: range) -> Sequence[asyncio.Future[None]]:
        self.asked += 1
        return [self.promise]

    def cancel(self) -> None:
        self.promise.cancel()


async def test_a_read_waits_for_a_promise_for_a_while_only(tmp_path: Path) -> None:
    with hot_world(tmp_path, patience=0.01) as world:
        feed = world.area.feed = Promising()
        assert await world.area.read(0, BLOCK) == world.right[:BLOCK]
        assert not feed.promise.done(), "others may still wait for it"
        assert await world.area.read(BLOCK, BLOCK) == world.right[BLOCK : 2 * BLOCK]
        assert feed.asked == 1, "it is not waited for again"


async def test_a_read_that_is_cancelled_leaves_those_that_wait_with_it(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        feed = world.area.feed = Promising()
        first, second = (asyncio.create_task(world.area.read(0, BLOCK)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert not feed.promise.done()
        feed.promise.set_result(None)
        assert await second == world.right[:BLOCK]


async def test_an_area_that_was_closed_touches_no_other_file(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        feed = world.feed()
        running = asyncio.create_task(feed.run(world.front()))
        await asyncio.sleep(0)
        world.area.close()
        with (tmp_path / "other").open("wb") as other:
            other.truncate(SIZE)
            await asyncio.gather(running, return_exceptions=True)
            with pytest.raises(OSError, match=os.strerror(9)):
                await world.area.put(0, world.right[:BLOCK])
        assert running.cancelled()
        assert not any((tmp_path / "other").read_bytes())


async def test_what_cannot_be_had_anywhere_is_an_error(tmp_path: Path) -> None:
    with hot_world(tmp_path) as world:
        world.data.fails = True
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            await world.area.read(0, BLOCK)
        assert isinstance(caught.value, BootseerError)
