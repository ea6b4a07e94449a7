"""Publishes indexes that a node made while it unpacked layers."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bootseer.digests import digest_of, digest_of_file
from bootseer.errors import CorruptError
from snapshotter.images.artifact import INDEX_TYPE, WINDOWS_TYPE, IndexArtifact, LayerEntry
from snapshotter.images.find import find_artifact
from snapshotter.images.platforms import this_platform
from snapshotter.images.publish import publish
from snapshotter.images.published import PublishedImages
from snapshotter.images.resolve import ResolvedImage, resolve
from snapshotter.layers.format import decode
from snapshotter.ports import ImageKey, MadeIndex
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.reference import parse_reference

_TICK: Final = dt.timedelta(microseconds=1)


class MadeIndexes:
    """The `snapshotter.ports.IndexPublishing` of the daemon."""

    def __init__(self, client: RegistryClient, images: PublishedImages) -> None:
        """`images`: told that there is something new."""
        self._client = client
        self._images = images

    async def lacking(self, image: ImageKey) -> frozenset[str]:
        """Return the layers of an image that no published artifact speaks of.

        Raises:
            NotFoundError, RemoteError: the registry.
            CorruptError: the image is not what its digest says.
            UsageError: the reference is malformed.
        """
        resolved = await self._resolve(image)
        found = await find_artifact(self._client, resolved.reference, resolved.digest)
        known = set(found.artifact.unindexed) if found else set()
        known |= {entry.layer_digest for entry in found.artifact.layers} if found else set()
        return frozenset(layer.digest for layer in resolved.layers) - known

    async def publish(self, image: ImageKey, made: Sequence[MadeIndex]) -> str:
        """Publish indexes next to an image, with what is published already; return the digest.

        What another node published of a layer meanwhile makes way: of ours we know that it is true.

        Raises:
            NotFoundError, RemoteError: the registry, which may also refuse.
            CorruptError: image or index are not what they should be.
            UsageError: the reference is malformed.
            OSError: a file cannot be read.
        """
        resolved = await self._resolve(image)
        entries = [await self._entry(resolved, one) for one in made if one.random_access]
        unindexed = [one.layer_digest for one in made if not one.random_access]
        found = await find_artifact(self._client, resolved.reference, resolved.digest)
        now = dt.datetime.now(dt.UTC)
        if found is not None:
            ours = {one.layer_digest for one in made}
            entries += [one for one in found.artifact.layers if one.layer_digest not in ours]
            unindexed += [one for one in found.artifact.unindexed if one not in ours]
            # Newer than what it takes the place of, whatever the clocks say.
            now = max(now, found.artifact.created + _TICK)
        artifact = IndexArtifact(resolved.descriptor, now, tuple(entries), tuple(unindexed))
        published = await publish(self._client, resolved.reference, artifact)
        self._images.forget(image.reference, image.manifest_digest)
        return published.digest

    async def _resolve(self, image: ImageKey) -> ResolvedImage:
        reference = parse_reference(image.reference).at(image.manifest_digest)
        return await resolve(self._client, reference, this_platform())

    async def _entry(self, image: ResolvedImage, made: MadeIndex) -> LayerEntry:
        """Push what a layer's entry names."""
        data = await asyncio.to_thread(made.index.read_bytes)
        index = await asyncio.to_thread(decode, data, self._client.settings.limits)
        _, diff_id = image.distinct.get(made.layer_digest, (None, "nothing of it"))
        if diff_id != index.diff_id:
            raise CorruptError(
                f"layer {made.layer_digest}: its contents are {index.diff_id}, the image "
                f"configuration says {diff_id}"
            )
        digest = digest_of(data)
        await self._client.uploads.put(image.reference, data, digest)
        descriptor = Descriptor(INDEX_TYPE, digest, len(data))
        return LayerEntry(made.layer_digest, descriptor, await self._windows(image, made.windows))

    async def _windows(self, image: ResolvedImage, windows: Path) -> Descriptor | None:
        size = windows.stat().st_size
        if not size:
            return None
        digest = await asyncio.to_thread(digest_of_file, windows)
        await self._client.uploads.put_file(image.reference, windows, digest)
        return Descriptor(WINDOWS_TYPE, digest, size)
