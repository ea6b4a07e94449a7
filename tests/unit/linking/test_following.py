"""What is fetched before the dynamic loader asks for it."""

import asyncio
from dataclasses import dataclass, field

import pytest

from bootseer.errors import RemoteError
from snapshotter.linking.following import Libraries, following
from tests.elf_maker import CHANGED, RELOCATIONS, library

SIZE = 20480
NEEDS = {
    "program": ["liba.so", "libb.so", "libelsewhere.so"],
    "liba.so": ["libc.so"],
    "libb.so": ["libc.so", "liba.so"],
    "libc.so": ["libb.so"],
    "libother.so": [],
}


@dataclass
class FakeLayer:
    """Libraries one behind the other."""

    data: bytes = b"".join(library(needs) for needs in NEEDS.values())
    brought: list[range] = field(default_factory=list)
    error: Exception | None = None
    held: asyncio.Event | None = None

    @property
    def size(self) -> int:
        return len(self.data)

    def in_order(self, end: int) -> bool:
        return False

    async def bring(self, start: int, length: int) -> None:
        await asyncio.sleep(0)
        if self.held:
            await self.held.wait()
        if self.error:
            raise self.error
        assert start + length <= self.size
        self.brought.append(range(start, start + length))

    async def read(self, offset: int, length: int, *, alone: bool = False) -> bytes:
        assert alone
        assert offset >= self.size or any(offset in one for one in self.brought)
        return self.data[offset : offset + length]


PLACES = {name: number * SIZE for number, name in enumerate(NEEDS)}


async def followed(layer: FakeLayer, most: int, *offsets: int) -> None:
    async with asyncio.TaskGroup() as group:
        libraries = Libraries(layer, PLACES, following(group.create_task, most))
        for offset in offsets:
            libraries.seen(offset, layer.data[offset : offset + 4096])


def fronts(layer: FakeLayer) -> list[str]:
    at = {place: name for name, place in PLACES.items()}
    return [at[one.start] for one in layer.brought if one.start in at]


async def test_all_that_a_program_needs_is_brought_once_in_the_order_of_the_loader() -> None:
    layer = FakeLayer()
    await followed(layer, 1 << 20, 0, 0)
    assert fronts(layer) == ["program", "liba.so", "libb.so", "libc.so"]


async def test_names_are_read_together_that_lie_side_by_side() -> None:
    layer = FakeLayer()
    await followed(layer, 1 << 20, 0)
    assert len([one for one in layer.brought if one.start in range(8192, 12288)]) == 1


async def test_what_relocations_change_is_brought_those_first_that_were_found_last() -> None:
    layer = FakeLayer()
    await followed(layer, 1 << 20, 0)
    changed = [one.start // SIZE for one in layer.brought if one.start % SIZE == CHANGED.start]
    assert changed == [3, 2, 1, 0]
    assert [one.start % SIZE for one in layer.brought].count(RELOCATIONS.start) == 4


async def test_no_more_of_it_is_brought_than_may_be() -> None:
    layer = FakeLayer()
    await followed(layer, len(CHANGED) + len(RELOCATIONS) + 10, 0)
    assert [one for one in layer.brought if one.start % SIZE == CHANGED.start] == [
        range(3 * SIZE + CHANGED.start, 3 * SIZE + CHANGED.stop)
    ]
    assert fronts(layer) == ["program", "liba.so", "libb.so", "libc.so"]


async def test_nothing_is_followed_where_that_is_off_or_no_program_was_read() -> None:
    layer = FakeLayer()
    await followed(layer, 0, 0)
    await followed(layer, 1 << 20, 4096, 8192)
    assert layer.brought == []


@pytest.mark.parametrize("error", [RemoteError("gone"), OSError(5, "bad disk")])
async def test_what_cannot_be_had_is_left_to_who_needs_it(error: Exception) -> None:
    layer = FakeLayer(error=error)
    await followed(layer, 1 << 20, 0)
    assert layer.brought == []


async def test_a_layer_that_is_closed_is_not_read_any_more() -> None:
    layer = FakeLayer(held=asyncio.Event())
    async with asyncio.TaskGroup() as group:
        libraries = Libraries(layer, PLACES, following(group.create_task, 1 << 20))
        libraries.seen(0, layer.data)
        await asyncio.sleep(0.01)
        libraries.seen(SIZE, layer.data)  # has not begun yet
        await libraries.close()
    assert layer.brought == []


async def test_hostile_libraries_end() -> None:
    names = [f"lib{n}.so" for n in range(40)]
    layer = FakeLayer(data=library(names) * 40)
    async with asyncio.TaskGroup() as group:
        places = {name: number * SIZE for number, name in enumerate(names)}
        Libraries(layer, places, following(group.create_task, 1 << 20)).seen(0, layer.data)
    assert len([one for one in layer.brought if one.start % SIZE == 0]) == 40
