"""Small images that differ from each other, and indexes for them that are damaged or lie."""

import asyncio
import dataclasses
import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from small_image import base_tree, manifest_digest, push, text
from whole import LocalRegistry

from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout
from snapshotter.images.artifact import INDEX_TYPE, WINDOWS_TYPE, IndexArtifact, LayerEntry
from snapshotter.images.publish import publish
from snapshotter.layers.format import encode
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.layers.records import LayerIndex
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST
from snapshotter.registry.reference import parse_reference
from tests.registry_fixture import ALONE

SUMS = "cat /data/* | sha256sum"
MODES = "stat -c '%a %n' /data/*"
SAME = ("one", "two")
"""Two files of one size and with different contents."""

Change = Callable[[bytes], bytes]


class Site(Protocol):
    """Where images are made, and where they are pushed to."""

    directory: Path
    registry: LocalRegistry


@dataclass(frozen=True)
class TroubleImage:
    """An image of busybox and one data layer."""

    reference: str
    layers: list[str]
    """Digests, bottom first."""
    sums: str
    """What `SUMS` prints."""


def trouble_image(node: Site, name: str, *, megabytes: int = 2) -> TroubleImage:
    """Push an image whose data layer is like no other image's."""
    directory = node.directory / "images" / name
    base = base_tree(directory / "base")
    data = directory / "tree/data"
    data.mkdir(parents=True)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    sizes = {"big": megabytes << 20, **dict.fromkeys(SAME, 30_000)}
    for number, (file, size) in enumerate(sizes.items()):
        (data / file).write_bytes(text(seed + number, size))
        (data / file).chmod(0o644)
    layout = OciLayout(directory / "layout")
    trees = (base, directory / "tree")
    layers = [layout.add_layer(tree.name, LayerTar(tree).write) for tree in trees]
    config = {"Cmd": ["/bin/ls", "/data"], "Env": ["PATH=/bin"]}
    layout.finish(name="small", architecture="amd64", config=config, created="2026-01-01T00:00:00Z")
    reference = f"{node.registry.host}/{name}:latest"
    push(layout.root, reference)
    whole = b"".join((data / file).read_bytes() for file in sorted(sizes))
    sums = f"{hashlib.sha256(whole).hexdigest()}  -\n"
    return TroubleImage(reference, [layer.digest for layer in layers], sums)


def indexed(registry: LocalRegistry, digest: str) -> IndexedLayer:
    """Index a layer as `bootseer image index` does."""
    indexer = LayerIndexer()
    indexer.feed(registry.blob_file(digest).read_bytes())
    return indexer.finish()


def publish_indexes(
    node: Site,
    image: TroubleImage,
    change: Change = bytes,
    *,
    lie: Callable[[LayerIndex], LayerIndex] | None = None,
    of_layer: int = 1,
    subject: str = "",
) -> Descriptor:
    """Publish indexes of an image; that of the data layer is changed. Return its descriptor.

    Args:
        node: the registry's.
        image: the image.
        change: what is done to the bytes of the data layer's index.
        lie: what is done to the index before it becomes bytes.
        of_layer: whose index is published as the data layer's.
        subject: the image that the artifact says it is of, if not `image`.
    """
    layers = [indexed(node.registry, digest) for digest in image.layers]
    honest = [layer.index for layer in layers]
    told = honest[of_layer] if lie is None else lie(honest[1])
    files = [encode(honest[0]), change(encode(told))]
    windows = [layer.windows_blob for layer in layers]
    return asyncio.run(_publish(image, files, windows, subject))


async def _publish(
    image: TroubleImage, files: Sequence[bytes], windows: Sequence[bytes], subject: str
) -> Descriptor:
    digest = await asyncio.to_thread(manifest_digest, image.reference)
    reference = parse_reference(image.reference)
    async with RegistryClient(ALONE) as client:

        async def put(media_type: str, data: bytes) -> Descriptor:
            blob = f"sha256:{hashlib.sha256(data).hexdigest()}"
            await client.uploads.put(reference, data, blob)
            return Descriptor(media_type, blob, len(data))

        entries = [
            LayerEntry(layer, await put(INDEX_TYPE, file), await put(WINDOWS_TYPE, window or b"-"))
            for layer, file, window in zip(image.layers, files, windows, strict=True)
        ]
        claimed = Descriptor(OCI_MANIFEST, subject or digest, 1000)
        artifact = IndexArtifact(claimed, dt.datetime.now(dt.UTC), tuple(entries))
        listed = await publish(client, reference, artifact)
        if subject:
            await client.referrers.announce(reference, digest, listed)
    return entries[1].index


def other_mode(index: LayerIndex) -> LayerIndex:
    """Say that every regular file belongs to root and runs as root."""
    mode = index.tree.inodes.mode.copy()
    mode[(mode & np.uint32(0o170000)) == np.uint32(0o100000)] |= np.uint32(0o4111)
    inodes = dataclasses.replace(index.tree.inodes, mode=mode)
    return dataclasses.replace(index, tree=dataclasses.replace(index.tree, inodes=inodes))


def swapped_files(index: LayerIndex) -> LayerIndex:
    """Give the two files of one size each other's contents."""
    inodes = index.tree.inodes
    first, second = np.flatnonzero(inodes.size == np.uint64(30_000))
    data = inodes.data.copy()
    data[first], data[second] = inodes.data[second], inodes.data[first]
    inodes = dataclasses.replace(inodes, data=data)
    return dataclasses.replace(index, tree=dataclasses.replace(index.tree, inodes=inodes))


def new_directories(root: Path) -> list[Path]:
    """Return what is half-written among a daemon's layers."""
    return list((root / "l").glob("new-*"))
