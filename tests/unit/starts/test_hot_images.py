"""What a node believes of an image's hot blocks, and for how long."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hot_world import hot_record

from bootseer.errors import BootseerError, CorruptError, RemoteError
from bootseer.events.stages import SILENT
from snapshotter.ports import ImageKey
from snapshotter.starts.course import StartPolicy
from snapshotter.starts.hotimage import HotImage, HotServices
from snapshotter.starts.hotimages import HotImages

IMAGE = ImageKey("registry/image:1", "sha256:" + "5" * 64)
A_LITTLE_S = 6.0


class World:
    """A store with one record, layers that cannot be had, and a clock."""

    def __init__(self, problem: BootseerError | OSError) -> None:
        self.now = 0.0
        self.problem = problem
        self.tried = 0
        self.tasks: set[asyncio.Task[None]] = set()
        services = SimpleNamespace(
            layers=self,
            areas=self,
            stores=[self],
            policy=StartPolicy(),
            stages=SILENT,
            spawn=self.spawn,
        )
        self.images = HotImages(cast("HotServices", services), lambda: self.now)

    def spawn(self, work: Any) -> None:
        self.tasks.add(asyncio.ensure_future(work))

    async def whole(self, *_: object) -> dict[str, object]:
        return {}

    async def pack(self, *_: object) -> None:
        return None

    async def records(self, *_: object) -> list[object]:
        return [hot_record([1, 2], 40)]

    async def present(self, *_: object) -> dict[str, object]:
        self.tried += 1
        raise self.problem

    async def start(self) -> HotImage:
        hot = self.images.get(IMAGE)
        await hot.settled.wait()
        return hot


@pytest.mark.parametrize("problem", [RemoteError("no answer"), OSError(5, "Input/output error")])
async def test_what_failed_is_tried_again_by_a_start_soon_after(problem: Any) -> None:
    world = World(problem)
    hot = await world.start()
    assert hot.failure
    assert await world.start() is hot  # containers of one moment share one attempt
    world.now += A_LITTLE_S
    assert await world.start() is not hot
    assert world.tried == 2


async def test_what_is_broken_is_not_fetched_again_by_every_start() -> None:
    world = World(CorruptError("wrong bytes"))
    hot = await world.start()
    assert hot.failure
    world.now += A_LITTLE_S
    assert await world.start() is hot
    assert world.tried == 1
