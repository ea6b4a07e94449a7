"""Records and packs of small images, right and wrong ones, without a start that was recorded."""

import asyncio
import datetime as dt
import hashlib
from dataclasses import dataclass

import numpy as np
from small_image import manifest_digest
from trouble_image import TroubleImage
from whole import LocalRegistry

from snapshotter.hot.artifact import HotArtifact, HotKind
from snapshotter.hot.hashtree import tree_of_area
from snapshotter.hot.pack import build_pack
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hotstore.registry import RegistryPlace
from snapshotter.layers.format import encode
from snapshotter.layers.records import BLOCK, LayerIndex
from snapshotter.ports import ImageKey
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from tests.indexed_layer import indexed
from tests.registry_fixture import ALONE

HALF = 512
"""Blocks of `/data/big` that are hot: its first 2 MiB."""


@dataclass(frozen=True)
class Layer:
    """A layer as its published index lays it out."""

    hot: HotLayer
    index: LayerIndex
    data: bytes
    """The data area."""


@dataclass(frozen=True)
class BigFile:
    """Where `/data/big` lies in the data area of its layer."""

    first: int
    """Its first block."""
    count: int


def layer_of(registry: LocalRegistry, digest: str) -> Layer:
    """Index a layer as `bootseer image index` does; keep its data area."""
    index, data = indexed(registry.blob_file(digest).read_bytes())
    name = f"sha256:{hashlib.sha256(encode(index)).hexdigest()}"
    return Layer(HotLayer(digest, name, index.data_size), index, data)


def layers_of(registry: LocalRegistry, image: TroubleImage) -> list[Layer]:
    """Return the layers of an image, bottom first."""
    return [layer_of(registry, digest) for digest in image.layers]


def big_file(layer: Layer) -> BigFile:
    """Return where the largest file of a layer lies."""
    inodes = layer.index.tree.inodes
    row = int(np.argmax(inodes.size))
    return BigFile(int(inodes.data[row]) // BLOCK, -(-int(inodes.size[row]) // BLOCK))


def record_of(image: TroubleImage, layers: list[Layer], workload: str = "") -> Record:
    """Return the record of a start that reads busybox and the first half of `/data/big`."""
    big = big_file(layers[1])
    rows = [(0, 0, layers[0].hot.blocks), (1, big.first, min(HALF, big.count))]
    return Record(
        manifest_digest=manifest_digest(image.reference),
        workload=workload,
        created=1_700_000_000,
        window_ms=60_000,
        length_ms=60_000,
        ended=Ended.WINDOW,
        kernel="6",
        architecture="x86_64",
        layers=tuple(layer.hot for layer in layers),
        ranges=make_ranges(rows),
        time_ms=np.array([0, 1], dtype=np.int64),
    )


def pack_of(record: Record, layers: list[Layer]) -> bytes:
    """Return the pack of a record."""
    areas = [layer.data for layer in layers]
    trees = {
        row: tree_of_area(lambda at, size, area=area: area[at : at + size], len(area))  # type: ignore[misc]
        for row, area in enumerate(areas)
    }
    return build_pack(record, lambda row, at, size: areas[row][at : at + size], trees)


def publish(image: TroubleImage, kind: HotKind, data: bytes, workload: str = "") -> str:
    """Publish bytes as the record or the pack of an image; return their digest."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    key = ImageKey(image.reference, manifest_digest(image.reference))

    async def push() -> None:
        async with RegistryClient(ALONE) as client:
            place = RegistryPlace(client)
            await place.put_blob(key, data, digest)
            artifact = HotArtifact(
                kind=kind,
                subject=await place.subject(key),
                created=dt.datetime.now(dt.UTC),
                workload=workload,
                runs=1,
                indexes=(),
                blobs=(Descriptor(kind.blob_type, digest, len(data)),),
            )
            await place.publish(key, artifact)

    asyncio.run(push())
    return digest
