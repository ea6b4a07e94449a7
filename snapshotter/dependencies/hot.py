"""Hot blocks of snapshots: what starts ask of images, asked of the store that has the snapshot.

A snapshot stands where an image would: `deps:ADDRESS#JOB` for the reference, the digest of its
block image for that of the manifest. Records lie beside the snapshots, under `hot/`, so that all
nodes that mount one share them.

Race-free: nothing is kept between calls.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bootseer.blobs.store import BlobInfo, BlobStore
from depsnap.snapshots.names import HOT
from snapshotter.blocks.names import LayerName, name_of
from snapshotter.dependencies.packs import Stores
from snapshotter.hot.record import MergedRecord, Record
from snapshotter.hotstore.blobs import BlobHotStore
from snapshotter.ports import HotStore, ImageKey, MirroredSource, PublishedPack, StoredHot
from snapshotter.serving.layout import LayerRecord
from snapshotter.serving.making import Making

_SCHEME: Final = "deps:"


def reference_of(address: str, job: str) -> str:
    """Return what stands for an image reference."""
    return f"{_SCHEME}{address}#{job}"


def address_in(reference: str) -> str | None:
    """Return the store that a reference of ours names; None for an image's."""
    if not reference.startswith(_SCHEME):
        return None
    return reference.removeprefix(_SCHEME).rpartition("#")[0]


def is_snapshot(image: ImageKey) -> bool:
    """Say whether a snapshot stands where an image would."""
    return address_in(image.reference) is not None


@dataclass(frozen=True, slots=True)
class Present:
    """The `PresentLayers` of images and snapshots."""

    making: Making

    async def present(self, image: ImageKey) -> Mapping[LayerName, LayerRecord]:
        """Return the layers that are present on disk; of a snapshot that is one.

        A snapshot is made present by who mounts it, and waited for. NotFoundError if that failed.
        """
        if address_in(image.reference) is None:
            return await self.making.present(image)
        name = name_of(image.manifest_digest, image.manifest_digest)
        return {name: await self.making.made(name)}


@dataclass(frozen=True, slots=True)
class HotOfAll:
    """The `HotStore` of images and snapshots."""

    images: HotStore
    stores: Stores

    async def records(self, image: ImageKey, workload: str) -> Sequence[Record]:
        """Return the valid records; see `HotStore.records`."""
        return await (await self._store(image)).records(image, workload)

    async def pack(self, image: ImageKey, workload: str) -> PublishedPack | None:
        """Return the best pack; see `HotStore.pack`."""
        return await (await self._store(image)).pack(image, workload)

    async def stored(self, image: ImageKey) -> Sequence[StoredHot]:
        """Return what there is; see `HotStore.stored`."""
        return await (await self._store(image)).stored(image)

    async def blobs(self, image: ImageKey) -> MirroredSource:
        """Return where packs are read from; see `HotStore.blobs`."""
        return await (await self._store(image)).blobs(image)

    async def publish_record(self, image: ImageKey, record: Record) -> None:
        """Add a record; see `HotStore.publish_record`."""
        await (await self._store(image)).publish_record(image, record)

    async def publish_pack(self, image: ImageKey, merged: MergedRecord, pack: Path) -> None:
        """Add a pack; see `HotStore.publish_pack`."""
        await (await self._store(image)).publish_pack(image, merged, pack)

    async def _store(self, image: ImageKey) -> HotStore:
        address = address_in(image.reference)
        if address is None:
            return self.images
        return BlobHotStore(Below(await self.stores.at(address), HOT))


@dataclass(frozen=True, slots=True)
class Below:
    """A `BlobStore` in a folder of another one."""

    store: BlobStore
    folder: str

    async def put(self, name: str, content: bytes | Path) -> bool:
        """Store an object; see `BlobStore.put`."""
        return await self.store.put(self._name(name), content)

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """Return part of an object; see `BlobStore.read`."""
        return await self.store.read(self._name(name), offset, length)

    def stream(self, name: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """Yield an object; see `BlobStore.stream`."""
        return self.store.stream(self._name(name), offset)

    async def size(self, name: str) -> int | None:
        """Return the bytes of an object; see `BlobStore.size`."""
        return await self.store.size(self._name(name))

    async def list(self, prefix: str, most: int) -> list[BlobInfo]:
        """Return the objects below a prefix; see `BlobStore.list`."""
        found = await self.store.list(self._name(prefix) if prefix else self.folder, most)
        return [replace(one, name=one.name.removeprefix(f"{self.folder}/")) for one in found]

    async def delete(self, name: str) -> bool:
        """Remove an object; see `BlobStore.delete`."""
        return await self.store.delete(self._name(name))

    def _name(self, name: str) -> str:
        return f"{self.folder}/{name}"
