"""Long runs of chunks: decoded while the rest of them is on its way."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from world import World, make_world

from bootseer.errors import RemoteError
from snapshotter.chunks.received import Received

SIZES = [100_000] * 64
"""Of one run that is longer than what is asked for at once."""


async def until_still(world: World) -> None:
    """Wait until something has come and nothing changes any more."""
    seen = 0
    while not seen or seen != world.source.streamed + world.reader.local_bytes:
        seen = world.source.streamed + world.reader.local_bytes
        await asyncio.sleep(0.3)


async def test_what_came_is_read_while_the_rest_is_on_its_way(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES, demand_run=8 << 20) as world:
        world.source.hold_after = 3 << 20
        fetching = asyncio.create_task(world.reader.prefetch(0, len(SIZES)))
        await asyncio.sleep(0)
        assert bytes(await world.reader.read(2_000_000, 5000)) == world.data[2_000_000:2_005_000]
        assert not fetching.done()
        world.source.flow.set()
        await fetching
        assert bytes(await world.reader.read(0, len(world.data))) == world.data
        assert len(world.source.asked) == 1


async def test_no_more_is_taken_than_is_being_decoded(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES, demand_run=8 << 20) as world:
        world.decoding.clear()
        world.source.piece = 200_000
        fetching = asyncio.create_task(world.reader.prefetch(0, len(SIZES)))
        await until_still(world)
        assert world.source.streamed < 6_000_000
        world.decoding.set()
        await fetching
        assert world.reader.local_bytes == len(world.data)


async def test_a_bad_chunk_of_a_stream_is_asked_for_again_by_itself(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES, demand_run=8 << 20) as world:
        world.source.corrupt_next = 1
        await world.reader.prefetch(0, len(SIZES))
        assert bytes(await world.reader.read(0, len(world.data))) == world.data


async def test_a_stream_that_ends_too_early_is_asked_for_again(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES, demand_run=8 << 20) as world:
        world.source.ends_after = 2 << 20
        await world.reader.prefetch(0, len(SIZES))
        assert bytes(await world.reader.read(0, len(world.data))) == world.data


async def test_a_stream_that_breaks_leaves_what_came_of_it(tmp_path: Path) -> None:
    with make_world(tmp_path, SIZES, demand_run=8 << 20) as world:
        world.source.hold_after = 3 << 20
        fetching = asyncio.create_task(world.reader.prefetch(0, len(SIZES)))
        await until_still(world)
        world.source.error = RemoteError("gone")
        world.source.flow.set()
        await asyncio.wait([fetching])
        assert isinstance(fetching.exception(), RemoteError)
        assert bytes(await world.reader.read(0, 1_000_000)) == world.data[:1_000_000]
        assert world.reader.flying == 0


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1), st.data())
def test_parts_of_a_stream_are_those_of_the_blob(pieces: list[bytes], data: st.DataObject) -> None:
    blob, origin = b"".join(pieces), 1000
    received = Received(origin)
    start = origin
    for piece in pieces:
        received.add(piece)
        while data.draw(st.booleans()):
            start = data.draw(st.integers(start, received.end))
            end = data.draw(st.integers(start, received.end))
            part = received.take(start, end)
            assert bytes(part.cut(start, end)) == blob[start - origin : end - origin]
    assert received.end == origin + len(blob)
