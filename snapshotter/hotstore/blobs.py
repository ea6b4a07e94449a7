"""Hot records and packs as objects in a directory or the like; see `docs/formats/hot-store.md`.

The artifacts are those of a registry, but for the size of their subject, which is not known here.
Objects are named by their digests and never change.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.blobs.store import BlobStore
from bootseer.digests import check_digest, digest_of, is_digest, verify
from bootseer.errors import CorruptError, NotFoundError
from snapshotter.hot.artifact import HotArtifact, HotKind, build, parse
from snapshotter.hotstore.store import ArtifactHotStore
from snapshotter.limits import DEFAULT, Limits
from snapshotter.ports import Early, ImageKey, MirroredSource
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest

log = logging.getLogger(__name__)

_ALGORITHM: Final = "sha256:"
_FOLDERS: Final = {HotKind.RECORDS: "records", HotKind.PACK: "packs"}
_OBJECT: Final = "io.bootseer.hot.object"
"""Annotation of a listed manifest: its name in the store. Written nowhere."""


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """The `HotPlace` in a `BlobStore`."""

    store: BlobStore
    limits: Limits = DEFAULT

    async def list(self, image: ImageKey, kind: HotKind, workload: str | None) -> list[Descriptor]:
        """Return the manifests, those that were stored last first; see `HotPlace.list`."""
        folder = _folder(image, kind) if workload is None else _of(image, kind, workload)
        try:
            listed = await self.store.list(folder, self.limits.hot_listed)
        except CorruptError as error:
            fields = {"image": image.manifest_digest, "reason": error.message}
            log.warning("hot.list.unusable", extra={"fields": fields})
            return []
        listed.sort(key=lambda one: one.modified, reverse=True)
        return [
            Descriptor(OCI_MANIFEST, digest, one.size, {_OBJECT: one.name}, kind)
            for one in listed
            if is_digest(digest := _ALGORITHM + one.name.rsplit("/", 1)[1])
        ]

    async def artifact(
        self, image: ImageKey, kind: HotKind, listed: Descriptor
    ) -> HotArtifact | None:
        """Return a listed artifact; None if it is gone or broken."""
        name = listed.annotations[_OBJECT]
        try:
            data = await self._verified(name, listed, self.limits.manifest)
            raw = RawManifest(listed.digest, OCI_MANIFEST, data)
            return parse(raw, kind, image.manifest_digest, self.limits)
        except (CorruptError, NotFoundError) as error:
            fields = {"artifact": name, "reason": error.message}
            log.warning("hot.artifact.unusable", extra={"fields": fields})
            return None

    async def blob(self, image: ImageKey, blob: Descriptor) -> bytes:
        """Return a blob, verified."""
        return await self._verified(_blob(image, blob.digest), blob, blob.size)

    def blobs(self, image: ImageKey) -> MirroredSource:
        """Return the blobs of an image."""
        return _ImageBlobs(self.store, image)

    async def subject(self, image: ImageKey) -> Descriptor:
        """Return the descriptor of the image's manifest, without its size."""
        return Descriptor(OCI_MANIFEST, image.manifest_digest, 0)

    async def put_blob(self, image: ImageKey, content: bytes | Path, digest: str) -> None:
        """Store a blob unless it is there."""
        await self.store.put(_blob(image, digest), content)

    async def publish(self, image: ImageKey, artifact: HotArtifact) -> str:
        """Store an artifact's manifest."""
        data = build(artifact)
        digest = digest_of(data)
        name = f"{_of(image, artifact.kind, artifact.workload)}/{_hex(digest)}"
        await self.store.put(name, data)
        return digest

    async def _verified(self, name: str, expected: Descriptor, most: int) -> bytes:
        if expected.size > most:
            raise CorruptError(f"{name}: {expected.size} bytes, accepted are {most}")
        data = await self.store.read(name, 0, expected.size)
        await asyncio.to_thread(verify, data, expected.digest, name)
        return data


@dataclass(frozen=True, slots=True)
class _ImageBlobs:
    """The blobs of one image: a `MirroredSource`."""

    store: BlobStore
    image: ImageKey

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        """Return part of a blob; see `BlobSource.read`."""
        del early  # it is not far
        return await self.store.read(_blob(self.image, digest), offset, length)

    async def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield a blob, or a part of it; see `BlobSource.stream`."""
        left = length
        async with aclosing(self.store.stream(_blob(self.image, digest), offset)) as pieces:
            async for piece in pieces:
                yield piece[:left]
                if left is not None and (left := left - len(piece)) <= 0:
                    return

    async def doubt(self, digest: str) -> None:
        """Do nothing: there is one place."""


class BlobHotStore(ArtifactHotStore):
    """The store in a `BlobStore`."""

    __slots__ = ()

    def __init__(self, store: BlobStore, limits: Limits = DEFAULT) -> None:
        super().__init__(BlobPlace(store, limits))


def _hex(digest: str) -> str:
    return check_digest(digest).removeprefix(_ALGORITHM)


def _blob(image: ImageKey, digest: str) -> str:
    return f"{_hex(image.manifest_digest)}/blobs/{_hex(digest)}"


def _folder(image: ImageKey, kind: HotKind) -> str:
    return f"{_hex(image.manifest_digest)}/{_FOLDERS[kind]}"


def _of(image: ImageKey, kind: HotKind, workload: str) -> str:
    return f"{_folder(image, kind)}/{_hex(digest_of(workload.encode()))}"
