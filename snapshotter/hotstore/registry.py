"""Hot records and packs next to their image in its registry: artifacts whose subject it is.

Where these are listed by a tag, `Referrers.announce` sees to it that no entry is lost.
"""

from dataclasses import dataclass
from pathlib import Path

from snapshotter.hot.artifact import (
    INDEXES,
    HotArtifact,
    HotKind,
    annotations,
    build,
    may_be_of,
    parse,
)
from snapshotter.hotstore.store import ArtifactHotStore
from snapshotter.images.referring import Subject
from snapshotter.limits import Limits
from snapshotter.ports import ImageKey, MirroredSource
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.reference import parse_reference
from snapshotter.registry.repository import RepositoryBlobs


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """The `HotPlace` in the repository of each image."""

    client: RegistryClient

    @property
    def limits(self) -> Limits:
        """How much is read."""
        return self.client.settings.limits

    async def list(self, image: ImageKey, kind: HotKind, workload: str | None) -> list[Descriptor]:
        """Return what the list of referrers has; see `HotPlace.list`."""
        listed = await self._subject(image).list(kind)
        return [one for one in listed if workload is None or may_be_of(one, workload)]

    async def artifact(
        self, image: ImageKey, kind: HotKind, listed: Descriptor
    ) -> HotArtifact | None:
        """Return a listed artifact; None if it is gone or broken."""
        return await self._subject(image).fetch(
            listed, lambda raw: parse(raw, kind, image.manifest_digest, self.limits)
        )

    async def blob(self, image: ImageKey, blob: Descriptor) -> bytes:
        """Return a blob, verified."""
        return await self.client.blobs.get(parse_reference(image.reference), blob.digest, blob.size)

    def blobs(self, image: ImageKey) -> MirroredSource:
        """Return the blobs of the image's repository."""
        return RepositoryBlobs(self.client, parse_reference(image.reference))

    async def subject(self, image: ImageKey) -> Descriptor:
        """Return the descriptor of the image's manifest."""
        reference = parse_reference(image.reference)
        raw = await self.client.manifests.get(reference, image.manifest_digest)
        return Descriptor(raw.media_type, raw.digest, len(raw.data))

    async def put_blob(self, image: ImageKey, content: bytes | Path, digest: str) -> None:
        """Upload a blob unless it is there."""
        reference = parse_reference(image.reference)
        if isinstance(content, bytes):
            await self.client.uploads.put(reference, content, digest)
        else:
            await self.client.uploads.put_file(reference, content, digest)

    async def publish(self, image: ImageKey, artifact: HotArtifact) -> str:
        """Push an artifact's manifest and list it as a referrer of the image."""
        chosen_by = {name: text for name, text in annotations(artifact).items() if name != INDEXES}
        published = await self._subject(image).publish(artifact.kind, build(artifact), chosen_by)
        return published.digest

    def _subject(self, image: ImageKey) -> Subject:
        reference = parse_reference(image.reference)
        return Subject(self.client, reference, image.manifest_digest, "hot")


class RegistryHotStore(ArtifactHotStore):
    """The store in the images' own repositories."""

    __slots__ = ()

    def __init__(self, client: RegistryClient) -> None:
        super().__init__(RegistryPlace(client))
