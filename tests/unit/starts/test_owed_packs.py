"""Packs that a node owes for layers which are not local yet."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bootseer.atomic import write_atomic
from snapshotter.ports import ImageKey
from snapshotter.serving.files import read_record
from snapshotter.serving.workers import Workers
from snapshotter.starts.packing import Packing, Wanted
from tests.served_layer import ServedLayer, served_layer


@dataclass
class Owing:
    """A node that owes the pack of one layer."""

    layer: ServedLayer
    packing: Packing
    now: float = 0.0

    @property
    def wanted(self) -> Wanted:
        image = ImageKey("registry.test/image:1", "sha256:" + "a" * 64)
        return Wanted(image, "", (self.layer.name,))

    def is_open(self) -> bool:
        return self.layer.name in self.layer.files.opened()


@asynccontextmanager
async def owing(directory: Path, store: Any = None) -> AsyncIterator[Owing]:
    """Nobody is asked for records while the layer is not local."""
    async with served_layer(directory, b"0123456789abcdef" * 1000) as layer:
        packing = Packing(layer.layout, layer.files, Workers(), store, lambda: node.now)
        node = Owing(layer, packing)
        packing.want(node.wanted)
        yield node


async def test_a_layer_whose_pack_is_owed_is_left_open(tmp_path: Path) -> None:
    async with owing(tmp_path) as node:
        await node.layer.files.open(node.layer.name)
        assert not await node.layer.files.retire(node.layer.name)
        assert node.is_open()


async def test_a_layer_that_was_closed_before_its_pack_was_owed_is_opened(tmp_path: Path) -> None:
    async with owing(tmp_path) as node:
        assert not node.is_open()
        assert await node.packing.make_if_due() is None
        assert node.is_open()


async def test_a_pack_whose_layer_was_removed_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with owing(tmp_path) as node:
        node.layer.layout.record(node.layer.name).unlink()
        assert await node.packing.make_if_due() is None
        assert caplog.messages == ["hot.not_packed"]
        assert await node.packing.make_if_due() is None
        assert caplog.messages == ["hot.not_packed"], "once"


async def test_a_layer_is_not_left_open_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with owing(tmp_path) as node:
        node.now = 3599.0
        await node.packing.make_if_due()
        assert not await node.layer.files.retire(node.layer.name)
        node.now = 3601.0
        await node.packing.make_if_due()
        assert caplog.messages == ["hot.not_packed"]
        assert await node.layer.files.retire(node.layer.name)
        assert not node.is_open()


class RecordedMeanwhile:
    """A store without records; when it is asked for the first time, one more start is over."""

    def __init__(self) -> None:
        self.asked = 0
        self.node: Owing | None = None

    async def records(self, image: ImageKey, workload: str) -> list[Any]:
        self.asked += 1
        if self.asked == 1 and self.node:
            self.node.packing.want(self.node.wanted)
        return []

    async def pack(self, image: ImageKey, workload: str) -> None:
        return None


async def test_what_is_recorded_while_a_pack_is_made_is_packed_after_it(tmp_path: Path) -> None:
    store = RecordedMeanwhile()
    async with owing(tmp_path, store) as node:
        store.node = node
        layout, name = node.layer.layout, node.layer.name
        local = replace(read_record(layout, name), local=True)
        write_atomic(layout.record(name), local.encode())
        for _ in range(3):
            await node.packing.make_if_due()
        assert store.asked == 2
