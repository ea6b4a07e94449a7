"""Two checks of one layer at the same time: of the whole against its digest, and of the cache."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snapshotter.blocks.names import LayerName
from snapshotter.caching.scrub import Scrub, Verified
from snapshotter.serving.audit import audit
from snapshotter.serving.files import LayerFiles, read_record
from snapshotter.serving.layout import Layout
from snapshotter.serving.poison import Poisoned
from snapshotter.serving.upkeep import Upkeep
from snapshotter.serving.workers import Workers
from tests.served_layer import served_layer

ROTTEN = b"bits that rotted"


class Stopped(Workers):
    """Worker processes; a check of a whole layer is answered when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.found = asyncio.Event()
        self.go_on = asyncio.Event()

    async def bulk(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = await super().bulk(work, *args, **kwargs)
        if work is audit:
            self.found.set()
            await self.go_on.wait()
        return answer


class Unused:
    """Nothing needs any layer."""

    async def in_use(self) -> set[LayerName]:
        return set()

    async def evict(self, name: LayerName) -> bool:
        raise AssertionError(f"{name} does not claim to be whole")


@dataclass
class Node:
    """A layer that came in whole, and what checks it."""

    layout: Layout
    name: LayerName
    files: LayerFiles
    workers: Stopped
    upkeep: Upkeep
    scrub: Scrub

    async def verify(self) -> list[Verified]:
        return [one async for one in self.scrub.verify()]


@asynccontextmanager
async def node_with_a_layer(directory: Path, data: bytes) -> AsyncIterator[Node]:
    async with served_layer(directory, data) as served:
        layout, name, files = served.layout, served.name, served.files
        workers = Stopped()
        upkeep = Upkeep(
            layout, files, workers, nothing, nothing, no_job, Poisoned(directory), 0.01, 0.0
        )
        await (await files.open(name)).reader.fetch_all()
        yield Node(layout, name, files, workers, upkeep, Scrub(layout, files, Unused(), workers))


async def nothing(*_: Any) -> None: ...


def no_job(reference: str) -> Any:
    raise AssertionError("the layer on disk is right")


async def test_a_layer_is_not_called_whole_when_damage_was_found_during_its_check(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with node_with_a_layer(tmp_path, b"0123456789abcdef" * 1000) as node:
        running = asyncio.create_task(node.upkeep.run())
        await node.workers.found.wait()
        with node.layout.data(node.name).open("r+b") as file:
            file.write(ROTTEN)
        assert [done.outcome for done in await node.verify()] == ["dropped"]
        before = read_record(node.layout, node.name)
        node.workers.go_on.set()
        again = await node.files.open(node.name)
        while not {"layer.check_void", "layer.verified"} & set(caplog.messages):
            await asyncio.sleep(0.01)
        assert not before.local
        assert not read_record(node.layout, node.name).local
        assert bytes(await again.read(0, 16)) == b"0123456789abcdef"
        running.cancel()
