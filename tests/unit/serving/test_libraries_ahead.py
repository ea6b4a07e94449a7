"""A layer that is served: what a program in it needs comes before anybody asks."""

import asyncio
import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from bootseer.atomic import write_atomic
from bootseer.digests import digest_of
from snapshotter.blocks.names import name_of
from snapshotter.chunks.fetching import FetchPolicy, Purpose
from snapshotter.chunks.flights import Services
from snapshotter.chunks.turns import Turns
from snapshotter.chunks.windows import new_cache
from snapshotter.layers.format import encode
from snapshotter.linking.following import following
from snapshotter.linking.names import library_places
from snapshotter.serving.files import LayerFiles, OpenLayer
from snapshotter.serving.layout import INDEX, RECORD, Layout, record_of
from snapshotter.serving.materialise import materialise
from tests.elf_maker import library
from tests.image_maker import layer_of
from tests.indexed_layer import indexed
from tests.one_blob import OneBlob

FAR = random.Random(3).randbytes(900_000)
"""Between two files: they share no chunk."""
MEMBERS = {
    "app/program.so": library(["liba.so"]),
    "app/1": FAR,
    "lib/liba.so": library(["libb.so"]),
    "lib/1": FAR,
    "lib/libb.so": library([]),
    "lib/2": FAR,
    "lib/libother.so": library([]),
}


@asynccontextmanager
async def served(
    root: Path, linked: int, table: bytes | None = None
) -> AsyncIterator[tuple[OpenLayer, dict[str, int]]]:
    """Serve the layer; at the end of the block all that was begun has ended.

    `table`: what its table of libraries is instead of a right one.
    """
    made = layer_of(MEMBERS, "none")
    index, _ = indexed(made.blob)
    data = encode(index)
    layout, name = Layout(root), name_of(made.digest, digest_of(data))
    layout.layer(name).mkdir(parents=True)
    (layout.layer(name) / INDEX).write_bytes(data)
    record = record_of(materialise(layout.layer(name) / INDEX), "registry.test/a:1", "")
    write_atomic(layout.layer(name) / RECORD, record.encode())
    if table is not None:
        layout.libraries(name).write_bytes(table)
    async with AsyncExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(2))
        async with asyncio.TaskGroup() as group:
            services = Services(Turns(executor), group.create_task, FetchPolicy())
            linking = following(group.create_task, linked)
            source = OneBlob(made.blob)
            files = LayerFiles(layout, lambda _: source, services, linking, new_cache())
            yield await files.open(name), library_places(index.tree)
        await files.close(name)


def here(layer: OpenLayer, place: int) -> bool:
    low, high = layer.reader.chunks.covering(place, 20_000)
    return layer.reader.cache.presence.first_missing(low, high) < 0


async def test_libraries_of_a_program_that_was_begun_to_be_read_are_fetched(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, 1 << 20) as (layer, places):
        await layer.read(places["program.so"], 4096)
    assert here(layer, places["liba.so"])
    assert here(layer, places["libb.so"])
    assert not here(layer, places["libother.so"])
    assert layer.reader.counters.fetched[Purpose.LINKED]
    assert layer.reader.counters.demand_misses == 1


@pytest.mark.parametrize(("linked", "name"), [(0, "program.so"), (1 << 20, "libother.so")])
async def test_nothing_is_fetched_that_nobody_needs(tmp_path: Path, linked: int, name: str) -> None:
    async with served(tmp_path, linked) as (layer, places):
        await layer.read(places[name], 4096)
    assert not here(layer, places["liba.so"])
    assert not here(layer, places["libb.so"])


async def test_who_reads_all_in_order_has_nothing_fetched_beside_the_run(tmp_path: Path) -> None:
    async with served(tmp_path, 1 << 20) as (layer, places):
        place = places["liba.so"]
        start = place - (512 << 10)
        for at in range(start, place + 8192, 8192):
            await layer.read(at, 8192)
    assert not layer.reader.counters.fetched[Purpose.LINKED]


async def test_a_layer_whose_table_of_libraries_is_damaged_is_served(tmp_path: Path) -> None:
    async with served(tmp_path, 1 << 20, table=b"\x00") as (layer, places):
        data = await layer.read(places["program.so"], 4096)
    assert bytes(data) == MEMBERS["app/program.so"][:4096]
    assert not here(layer, places["liba.so"])
