"""The pack of an image in a real registry, end to end."""

import asyncio
import datetime as dt
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hot_records import record

from bootseer.digests import digest_of
from bootseer.errors import CorruptError, NotFoundError
from snapshotter.hot.pack import PackSettings
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import HotLayer, Record
from snapshotter.hot.unpack import Expected, PackStream
from snapshotter.hotstore.image_pack import PackedImage, PackingPolicy, pack_image
from snapshotter.hotstore.registry import RegistryHotStore
from snapshotter.images.find import find_artifact
from snapshotter.images.indexing import index_image
from snapshotter.images.publish import publish
from snapshotter.images.resolve import ResolvedImage, resolve
from snapshotter.layers.format import decode, encode
from snapshotter.layers.records import BLOCK, LayerIndex
from snapshotter.ports import ImageKey
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.reference import parse_reference
from tests.hostile_fixtures import client
from tests.image_maker import layer_of, push_image
from tests.registry_fixture import RunningRegistry, registry

__all__ = ["client", "registry"]

AMD64 = Platform("linux", "amd64")
FILES = [random.Random(n).randbytes((n + 1) * 300_000) for n in range(3)]
"""The only file of each layer: its bytes, padded, are the layer's data area."""


@pytest.fixture
async def image(
    client: RegistryClient, registry: RunningRegistry, request: pytest.FixtureRequest
) -> ResolvedImage:
    reference = parse_reference(f"{registry.host}/p/{request.node.name}:1")
    layers = [
        layer_of({"file": data}, compression)
        for data, compression in zip(FILES, ("gzip", "zstd", "none"), strict=True)
    ]
    await push_image(client, reference, layers)
    await index_image(client, reference, AMD64)
    return await resolve(client, reference, AMD64)


async def indexes(client: RegistryClient, image: ResolvedImage) -> dict[str, LayerIndex]:
    found = await find_artifact(client, image.reference, image.digest)
    assert found is not None
    entries = found.artifact.layers
    return {
        entry.index.digest: decode(
            await client.blobs.get(image.reference, entry.index.digest, entry.index.size)
        )
        for entry in entries
    }


async def a_run(
    client: RegistryClient, image: ResolvedImage, rows: list[tuple[int, int, int]], number: int
) -> Record:
    """Return a record of (layer, first block, blocks) rows."""
    known = await indexes(client, image)
    layers = [
        HotLayer(index.layer_digest, digest, index.data_size)
        for layer in image.layers
        for digest, index in known.items()
        if index.layer_digest == layer.digest
    ]
    return replace(
        record(image.digest, number),
        layers=tuple(layers),
        ranges=make_ranges(rows),
        time_ms=np.zeros(len(rows), dtype=np.int64),
    )


async def packed(client: RegistryClient, image: ResolvedImage, scratch: Path) -> PackedImage:
    seen: dict[str, int] = {}

    def progress(layer: Descriptor, done: int) -> None:
        seen[layer.digest] = done

    policy = PackingPolicy(scratch, PackSettings(level=1))
    store = RegistryHotStore(client)
    made = await pack_image(client, store, image, "", policy, progress)
    sizes = {layer.digest: layer.size for layer in image.layers}
    assert all(sizes[digest] == done for digest, done in seen.items())
    assert len(seen) == made.pack.layers
    return made


async def test_the_published_pack_has_the_blocks_of_all_layers_in_order_of_touch(
    client: RegistryClient, image: ResolvedImage, tmp_path: Path
) -> None:
    store = RegistryHotStore(client)
    key = ImageKey(str(image.reference), image.digest)
    rows = [(2, 100, 3), (0, 5, 2), (2, 0, 1)]
    for number in range(2):
        await store.publish_record(key, await a_run(client, image, rows, number))
    made = await packed(client, image, tmp_path)
    assert (made.merged.runs, made.pack.blocks, made.pack.layers) == (2, 6, 2)
    found = await store.pack(key, "")
    assert found is not None
    assert (found.size, found.runs) == (made.pack.size, 2)
    known = (await indexes(client, image)).values()
    stream = PackStream(
        {index.layer_digest: Expected(index.merkle_root, index.data_size) for index in known}
    )
    async for piece in (await store.blobs(key)).stream(found.digest):
        stream.receive(piece)
    frame = stream.next_frame()
    assert frame is not None
    assert stream.done
    parts = {part.layer_digest: part for part in frame}
    for layer, numbers in ((0, [5, 6]), (2, [100, 101, 102, 0])):
        part = parts[image.layers[layer].digest]
        assert part.blocks.tolist() == numbers
        expected = b"".join(FILES[layer][n * BLOCK : (n + 1) * BLOCK] for n in numbers)
        assert bytes(part.data) == expected


async def test_an_image_of_which_nothing_is_recorded_has_no_pack(
    client: RegistryClient, image: ResolvedImage, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="nothing is recorded"):
        await packed(client, image, tmp_path)


async def test_records_of_layers_that_are_not_the_images_make_no_pack(
    client: RegistryClient, image: ResolvedImage, tmp_path: Path
) -> None:
    key = ImageKey(str(image.reference), image.digest)
    await RegistryHotStore(client).publish_record(key, record(image.digest))
    with pytest.raises(NotFoundError, match="touched no layer"):
        await packed(client, image, tmp_path)


async def test_a_record_of_a_data_area_of_another_size_is_refused(
    client: RegistryClient, image: ResolvedImage, tmp_path: Path
) -> None:
    made = await a_run(client, image, [(0, 0, 1)], 0)
    larger = tuple(replace(one, data_size=one.data_size + BLOCK) for one in made.layers)
    key = ImageKey(str(image.reference), image.digest)
    await RegistryHotStore(client).publish_record(key, replace(made, layers=larger))
    with pytest.raises(CorruptError, match="what is recorded says"):
        await packed(client, image, tmp_path)


async def test_a_published_index_with_another_root_is_found_out(
    client: RegistryClient, image: ResolvedImage, tmp_path: Path
) -> None:
    key = ImageKey(str(image.reference), image.digest)
    made = await a_run(client, image, [(0, 0, 1)], 0)
    await RegistryHotStore(client).publish_record(key, made)
    found = await find_artifact(client, image.reference, image.digest)
    assert found is not None
    entry = found.artifact.layer(image.layers[0].digest)
    assert entry is not None
    lie = replace((await indexes(client, image))[entry.index.digest], merkle_root=bytes(32))
    data = await asyncio.to_thread(encode, lie)
    await client.uploads.put(image.reference, data)
    index = Descriptor(entry.index.media_type, digest_of(data), len(data))
    later = found.artifact.created + dt.timedelta(days=1)
    artifact = replace(found.artifact, created=later, layers=(replace(entry, index=index),))
    await publish(client, image.reference, artifact)
    with pytest.raises(CorruptError, match=f"{index.digest} is wrong"):
        await packed(client, image, tmp_path)
