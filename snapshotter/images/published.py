"""The daemon's view of images: where a layer's published index is, and where blobs come from.

Concurrency: event loop only. `_known` and `_flights` are read and changed without an await in
between. A flight is one search for an image's artifact: all who ask meanwhile wait for it, and it
goes on when one of them is cancelled.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from bootseer.digests import check_digest
from snapshotter.images.artifact import IndexArtifact
from snapshotter.images.find import FoundArtifact, find_artifact
from snapshotter.images.manifest import ImageManifest, parse_manifest
from snapshotter.images.trust import Policy, TrustRules, believed
from snapshotter.ports import MirroredSource, PublishedIndex
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import Reference, parse_reference
from snapshotter.registry.repository import RepositoryBlobs

_FOUND_S: Final = 600.0
_MISSED_S: Final = 30.0
"""How long it is believed that an image has an index, or has none: a newer one may be pushed."""
_IMAGES: Final = 256
_ANYBODY: Final = TrustRules()


@dataclass(frozen=True, slots=True)
class _Known:
    artifact: IndexArtifact | None
    good_until: float


class PublishedImages:
    """The `snapshotter.ports.Images` of the daemon."""

    def __init__(
        self,
        client: RegistryClient,
        clock: Callable[[], float] = time.monotonic,
        *,
        trust: TrustRules = _ANYBODY,
    ) -> None:
        """`clock` counts seconds; `trust`: whose indexes are believed."""
        self._client = client
        self._trust = trust
        self._clock = clock
        self._known: LRUCache[tuple[str, str], _Known] = LRUCache(_IMAGES)
        self._flights: dict[tuple[str, str], asyncio.Task[IndexArtifact | None]] = {}

    async def index_of(
        self, reference: str, manifest_digest: str, layer_digest: str
    ) -> PublishedIndex | None:
        """Return the published index of a layer of an image, or None if there is none.

        Raises:
            UsageError: the reference is malformed.
            RemoteError: the registry cannot say.
            CorruptError: a digest is malformed.
        """
        check_digest(layer_digest)
        artifact = await self._artifact(reference, check_digest(manifest_digest))
        entry = artifact.layer(layer_digest) if artifact else None
        return PublishedIndex(entry.index.digest, entry.index.size) if entry else None

    async def indexes_of(
        self, reference: str, manifest_digest: str
    ) -> Mapping[str, PublishedIndex]:
        """Return the published indexes of all layers of an image. Raises what `index_of` does."""
        artifact = await self._artifact(reference, check_digest(manifest_digest))
        entries = artifact.layers if artifact else ()
        return {
            entry.layer_digest: PublishedIndex(entry.index.digest, entry.index.size)
            for entry in entries
        }

    def blobs(self, reference: str) -> MirroredSource:
        """Return the blobs of the repository that an image reference names.

        Raises:
            UsageError: the reference is malformed.
        """
        return RepositoryBlobs(self._client, parse_reference(reference))

    async def _artifact(self, reference: str, manifest_digest: str) -> IndexArtifact | None:
        parsed = parse_reference(reference)
        key = (parsed.name, manifest_digest)
        known = self._known.get(key)
        if known is not None and known.good_until > self._clock():
            return known.artifact
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._search(key, reference))
            self._flights[key] = flight
            flight.add_done_callback(lambda task: self._landed(key, task))
        return await asyncio.shield(flight)

    async def _search(self, key: tuple[str, str], reference: str) -> IndexArtifact | None:
        found = await self._find(parse_reference(reference), key[1])
        artifact = found.artifact if found else None
        lasts = _FOUND_S if artifact else _MISSED_S
        self._known[key] = _Known(artifact, self._clock() + lasts)
        return artifact

    async def _find(self, reference: Reference, digest: str) -> FoundArtifact | None:
        """Return the newest artifact of an image that is believed."""
        trust = self._trust.of(reference)
        if trust.policy is Policy.LOCAL:
            return None
        image = None
        if trust.policy is Policy.PINNED:
            raw = await self._client.manifests.get(reference, digest)
            parsed = parse_manifest(raw, self._client.settings.limits)
            image = parsed if isinstance(parsed, ImageManifest) else None
        return await find_artifact(
            self._client, reference, digest, lambda artifact: believed(artifact, trust, image)
        )

    def forget(self, reference: str, manifest_digest: str) -> None:
        """Look again for an image's artifact the next time: there is a new one.

        Raises:
            UsageError: the reference is malformed.
        """
        self._known.pop((parse_reference(reference).name, manifest_digest), None)

    def _landed(self, key: tuple[str, str], task: "asyncio.Task[IndexArtifact | None]") -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # seen, also when everybody who waited is gone
