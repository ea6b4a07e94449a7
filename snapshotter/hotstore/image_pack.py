"""Makes and publishes the pack of an image, on any machine: no daemon, nothing local needed.

The layers with hot blocks are streamed once each, and only their data areas kept, while it takes.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bootseer.errors import CorruptError, HostError, NotFoundError
from bootseer.together import together
from bootseer.write_all import write_all
from snapshotter.hot.merge import merge
from snapshotter.hot.pack import DEFAULT_SETTINGS, PackSettings
from snapshotter.hot.record import HotLayer, MergedRecord
from snapshotter.hotstore.packing import LocalArea, MadePack, chosen_layers, make_pack
from snapshotter.images.artifact import LayerEntry
from snapshotter.images.find import find_artifact
from snapshotter.images.layer_stream import stream_layer
from snapshotter.images.resolve import ResolvedImage
from snapshotter.layers.format import decode_map
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.layers.records import LayerIndex
from snapshotter.ports import HotStore, ImageKey
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.serving.jobs import run_job

log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[Descriptor, int], None]
"""(layer, bytes of it that were read)"""


@dataclass(frozen=True, slots=True)
class PackingPolicy:
    """How packs are made."""

    scratch: Path
    """A directory of our own: it gets the data areas and the pack."""
    settings: PackSettings = DEFAULT_SETTINGS
    parallel: int = 2
    """Layers at a time."""


@dataclass(frozen=True, slots=True)
class PackedImage:
    """What became of an image's records."""

    merged: MergedRecord
    pack: MadePack


async def pack_image(
    client: RegistryClient,
    store: HotStore,
    image: ResolvedImage,
    workload: str,
    policy: PackingPolicy,
    progress: Progress,
) -> PackedImage:
    """Merge what is recorded of a workload of an image, make the pack of it and publish that.

    `progress` is called on the event loop, often.

    Raises:
        NotFoundError: nothing is recorded, or the registry lacks a layer.
        RemoteError: registry or store.
        CorruptError: a layer is not what its digest, or its published index, says.
        HostError: the disk.
    """
    key = ImageKey(str(image.reference), image.digest)
    records = await store.records(key, workload)
    if not records:
        raise NotFoundError(
            f"{image.reference}: nothing is recorded of {_named(workload)}",
            hint="start it once on a node that records",
        )
    merged = await asyncio.to_thread(merge, records, client.settings.limits)
    areas = await _areas(client, image, merged, policy, progress)
    if not areas:
        raise NotFoundError(
            f"{image.reference}: {_named(workload)} touched no layer of it",
            hint="what was recorded is of no use; see bootseer hot ls",
        )
    target = policy.scratch / "pack"
    limits = client.settings.limits
    made = await run_job(make_pack, merged, areas, target, policy.settings, limits)
    await store.publish_pack(key, merged, target)
    return PackedImage(merged, made)


def _named(workload: str) -> str:
    return f"workload {workload!r}" if workload else "the image's default workload"


async def _areas(
    client: RegistryClient,
    image: ResolvedImage,
    merged: MergedRecord,
    policy: PackingPolicy,
    progress: Progress,
) -> dict[int, LocalArea]:
    """Fetch the data areas of the layers that are packed, by their row in the record."""
    found = await find_artifact(client, image.reference, image.digest)
    entries = {entry.layer_digest: entry for entry in found.artifact.layers} if found else {}
    published = {digest: entry.index.digest for digest, entry in entries.items()}
    layers = {layer.digest: layer for layer in image.layers}
    rows = {
        row: layers[digest]
        for row, digest in chosen_layers(merged, published).items()
        if digest in layers
    }
    fetching = _Fetching(client, image, entries, policy.scratch, progress)

    async def one(row: int) -> tuple[int, LocalArea]:
        return row, await fetching.area(merged.layers[row], rows[row])

    return dict(await together(one, rows, policy.parallel))


@dataclass(frozen=True, slots=True)
class _Fetching:
    """Gets data areas out of a registry into a directory."""

    client: RegistryClient
    image: ResolvedImage
    entries: Mapping[str, LayerEntry]
    scratch: Path
    progress: Progress

    async def area(self, hot: HotLayer, layer: Descriptor) -> LocalArea:
        """Fetch a layer and keep its data area, compared with its published index if it has one."""
        path = self.scratch / layer.digest.removeprefix("sha256:")
        index = await self._stream(layer, path)
        entry = self.entries.get(layer.digest)
        if entry is not None:
            await self._compare(index, entry)
        if index.data_size != hot.data_size:
            raise CorruptError(
                f"layer {layer.digest}: its data area has {index.data_size} bytes, what is recorded"
                f" says {hot.data_size}",
                hint="the records are damaged or hostile: record the start again",
            )
        return LocalArea(path, index.merkle_root)

    async def _stream(self, layer: Descriptor, path: Path) -> LayerIndex:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                indexer = LayerIndexer(
                    limits=self.client.settings.limits,
                    windows=False,
                    sink=lambda offset, data: write_all(file, offset, data),
                )
                done = await stream_layer(
                    self.client,
                    self.image.reference,
                    layer,
                    indexer,
                    lambda position: self.progress(layer, position),
                )
                os.ftruncate(file, done.index.data_size)
            finally:
                os.close(file)
        except OSError as error:
            raise HostError(f"cannot keep layer {layer.digest} in {path}: {error}") from error
        return done.index

    async def _compare(self, index: LayerIndex, entry: LayerEntry) -> None:
        """Compare the layer with its published index: nodes refuse what has another root."""
        data = await self.client.blobs.get(
            self.image.reference, entry.index.digest, entry.index.size
        )
        published = await asyncio.to_thread(decode_map, data, self.client.settings.limits)
        known = (published.layer_digest, published.merkle_root, published.data_size)
        if known != (index.layer_digest, index.merkle_root, index.data_size):
            raise CorruptError(
                f"layer {index.layer_digest}: its published index {entry.index.digest} is wrong",
                hint="index the image again: bootseer image index --again",
            )
