"""Reading stripes: streams that are followed, and other copies where one is slow or gone."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fuse_hdfs.files.copies import Copies
from fuse_hdfs.files.hedging import Hedging
from fuse_hdfs.files.streams import StripeStreams
from fuse_hdfs.files.stripes import Stripes
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.stores.store import Block, Status, Stream

DATA = random.Random(8).randbytes(100_000)
UNIT = 1000


class Copied(DirectoryStore):
    """A directory whose files have a copy at each of two places; one of them may hang or fail."""

    __slots__ = ("asked", "closed", "hanging", "opening", "streamed")

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for name in self.__slots__:
            object.__setattr__(self, name, [])

    async def blocks(self, path: str) -> tuple[Block, ...]:
        return (Block(0, len(DATA), ("a", "b")),)

    async def read(
        self,
        path: str,
        offset: int,
        length: int,
        *,
        of: Status | None = None,
        place: str | None = None,
    ) -> bytes:
        self.asked.append(place)
        if (place or "a") in self.hanging:
            await asyncio.sleep(3600)
        return await super().read(path, offset, length)

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, offset: int, *, place: str | None = None
    ) -> AsyncIterator[Stream]:
        self.streamed.append(place)
        for may_go_on in self.opening:
            await may_go_on.wait()
        try:
            yield Source(self, path, offset, place or "a")
        finally:
            self.closed.append(place)


class Source:
    """A stream of it."""

    def __init__(self, store: Copied, path: str, offset: int, place: str) -> None:
        self.store, self.path, self.offset, self.place = store, path, offset, place

    async def read(self, length: int) -> bytes:
        if self.place in self.store.hanging:
            await asyncio.sleep(3600)
        if "broken" in self.store.hanging:
            raise OSError(5, "broken")
        self.offset += length
        return (self.store.root / self.path).read_bytes()[self.offset - length : self.offset]


@pytest.fixture
async def store(tmp_path: Path) -> Copied:
    (tmp_path / "stripe").write_bytes(DATA)
    return Copied(tmp_path)


@pytest.fixture
async def stripes(store: Copied) -> AsyncIterator[Stripes]:
    copies = Copies(store)
    made = Stripes(store, copies)
    yield made
    await made.close()
    await copies.close()


async def read(stripes: Stripes, number: int, *, follow: bool = True) -> bytes:
    return await stripes.read("stripe", number * UNIT, UNIT, follow=follow)


def unit(number: int) -> bytes:
    return DATA[number * UNIT : (number + 1) * UNIT]


async def test_what_follows_comes_from_one_stream(stripes: Stripes, store: Copied) -> None:
    found = await asyncio.gather(*(read(stripes, number) for number in range(3, 20)))
    assert found == [unit(number) for number in range(3, 20)]
    assert (store.streamed, store.asked) == ([None], [])
    assert await read(stripes, 20) == unit(20)
    assert store.streamed == [None]


async def test_what_does_not_follow_is_read_alone(stripes: Stripes, store: Copied) -> None:
    await read(stripes, 0)
    assert await read(stripes, 50) == unit(50)
    assert await read(stripes, 1) == unit(1)
    assert (store.streamed, store.asked) == ([None], [None])


async def test_the_end_of_a_stripe_is_short(stripes: Stripes) -> None:
    assert await stripes.read("stripe", len(DATA) - 10, 100, follow=True) == DATA[-10:]


async def test_a_stream_that_breaks_is_no_error(stripes: Stripes, store: Copied) -> None:
    store.hanging.append("broken")
    found = await asyncio.gather(*(read(stripes, number) for number in range(5)))
    assert found == [unit(number) for number in range(5)]
    assert len(store.asked) == 5
    store.hanging.clear()
    assert await read(stripes, 5) == unit(5)
    assert len(store.asked) == 5


async def test_a_stream_that_is_dropped_while_it_is_opened_is_closed_when_it_is_open(
    store: Copied,
) -> None:
    streams = StripeStreams(store)
    may_go_on = asyncio.Event()
    store.opening.append(may_go_on)
    reading = asyncio.create_task(streams.read("stripe", 0, UNIT, None))
    while not store.streamed:
        await asyncio.sleep(0)
    streams.drop("stripe")
    may_go_on.set()
    assert await reading == DATA[:UNIT]
    assert await streams.read("stripe", UNIT, UNIT, None) == DATA[UNIT : 2 * UNIT]
    await streams.close()
    assert (store.streamed, store.closed) == ([None, None], [None, None])


async def test_a_cancelled_reader_leaves_a_stream_that_others_can_use(
    stripes: Stripes, store: Copied
) -> None:
    store.hanging.append("a")
    reading = asyncio.create_task(read(stripes, 0))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    store.hanging.clear()
    assert await read(stripes, 0) == unit(0)
    assert await read(stripes, 1) == unit(1)


@pytest.mark.parametrize("follow", [True, False])
async def test_a_copy_that_hangs_is_left_for_the_other_one(
    stripes: Stripes, store: Copied, follow: bool
) -> None:
    for number in range(20):
        await read(stripes, number, follow=True)
    store.hanging.append("a")
    for number in range(20, 30):
        assert await read(stripes, number, follow=follow) == unit(number)
    assert stripes.hedging.won >= 1
    assert stripes.hedging.hedges <= 2


def test_no_more_than_a_share_of_the_reads_is_asked_for_twice() -> None:
    hedging = Hedging()
    for _ in range(1000):
        hedging.took(0.01)
        if hedging.patience is not None:
            hedging.hedges += 1
    assert 100 <= hedging.hedges <= 109


def test_nothing_is_late_while_nothing_is_known() -> None:
    hedging = Hedging()
    assert hedging.patience is None
    for _ in range(64):
        hedging.took(1.0)
    assert hedging.patience == 3.0
