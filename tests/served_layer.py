"""A layer of one file on a node, as whoever serves layers has it."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bootseer.atomic import write_atomic
from bootseer.digests import digest_of
from snapshotter.blocks.names import LayerName, name_of
from snapshotter.chunks.fetching import FetchPolicy
from snapshotter.chunks.flights import Services
from snapshotter.chunks.turns import Turns
from snapshotter.chunks.windows import new_cache
from snapshotter.layers.format import encode
from snapshotter.linking.following import following
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.layout import INDEX, RECORD, Layout, record_of
from snapshotter.serving.materialise import materialise
from tests.image_maker import layer_of
from tests.indexed_layer import indexed
from tests.one_blob import OneBlob


@dataclass(frozen=True)
class ServedLayer:
    """The layer, and what opens it."""

    layout: Layout
    name: LayerName
    files: LayerFiles


@asynccontextmanager
async def served_layer(directory: Path, data: bytes) -> AsyncIterator[ServedLayer]:
    """Have the layer on disk, none of whose chunks has come, and close it afterwards."""
    layer = layer_of({"file": data})
    index = encode(indexed(layer.blob)[0])
    layout, name = Layout(directory), name_of(layer.digest, digest_of(index))
    layout.layer(name).mkdir(parents=True)
    (layout.layer(name) / INDEX).write_bytes(index)
    record = record_of(
        materialise(layout.layer(name) / INDEX), "registry.test/image:1", digest_of(index)
    )
    write_atomic(layout.layer(name) / RECORD, record.encode())
    async with AsyncExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(2))
        spawn = (await stack.enter_async_context(asyncio.TaskGroup())).create_task
        services = Services(Turns(executor), spawn, FetchPolicy())
        files = LayerFiles(
            layout, lambda _: OneBlob(layer.blob), services, following(spawn, 0), new_cache()
        )
        yield ServedLayer(layout, name, files)
        await files.close(name)
