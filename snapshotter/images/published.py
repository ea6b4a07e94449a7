"""The daemon's view of images: where a layer's published index is, and where blobs come from.

Concurrency: event loop only. `_known` and `_flights` are read and changed without an await in
between; what a digest in `_manifests` names never changes. A flight is one search for an image's
indexes of one kind: all who ask meanwhile wait for it, and it goes on when one of them is
cancelled.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

from cachetools import LRUCache

from bootseer.config import DEFAULT_SOURCES, IndexSource
from bootseer.digests import check_digest
from bootseer.errors import BootseerError, CorruptError, NotFoundError, first_error
from snapshotter.images.find import find_artifact
from snapshotter.images.manifest import ImageManifest, parse_manifest
from snapshotter.images.soci import find_soci
from snapshotter.images.tocs import tocs_of
from snapshotter.images.trust import Policy, Trust, TrustRules, believed
from snapshotter.ports import MirroredSource, PublishedIndex
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import Reference, parse_reference
from snapshotter.registry.repository import RepositoryBlobs

_FOUND_S: Final = 600.0
_MISSED_S: Final = 30.0
"""How long it is believed that an image has an index, or has none: a newer one may be pushed."""
_IMAGES: Final = 256
_ANYBODY: Final = TrustRules()

Indexes: TypeAlias = Mapping[str, PublishedIndex]
"""By layer digest."""
_Key: TypeAlias = tuple[IndexSource, str, str]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    indexes: Indexes
    good_until: float


class PublishedImages:
    """The `snapshotter.ports.Images` of the daemon."""

    def __init__(
        self,
        client: RegistryClient,
        clock: Callable[[], float] = time.monotonic,
        *,
        sources: Sequence[IndexSource] = DEFAULT_SOURCES,
        trust: TrustRules = _ANYBODY,
    ) -> None:
        """Tie it together.

        Args:
            client: talks to registries.
            clock: counts seconds.
            sources: where indexes come from; of several with an index of a layer the first wins.
            trust: whose indexes are believed.
        """
        self._client = client
        self._trust = trust
        self._clock = clock
        self._sources = tuple(sources)
        self._known: LRUCache[_Key, _Known] = LRUCache(_IMAGES * len(self._sources))
        self._manifests: LRUCache[tuple[str, str], ImageManifest | None] = LRUCache(_IMAGES)
        self._flights: dict[_Key, asyncio.Task[Indexes]] = {}

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
        for source in self._sources:
            indexes = await self._indexes(source, reference, check_digest(manifest_digest))
            if found := indexes.get(layer_digest):
                return found
        return None

    async def indexes_of(
        self, reference: str, manifest_digest: str
    ) -> Mapping[str, PublishedIndex]:
        """Return the published indexes of all layers of an image. Raises what `index_of` does.

        No source is asked for what those before it have: each costs several requests in turn.
        """
        check_digest(manifest_digest)
        if self._trust.of(parse_reference(reference)).policy is Policy.LOCAL:
            return {}
        found: dict[str, PublishedIndex] = {}
        try:
            async with asyncio.TaskGroup() as group:
                layers = group.create_task(self._layers(reference, manifest_digest))
                for source in self._sources:
                    found = {**await self._indexes(source, reference, manifest_digest), **found}
                    if (await layers) <= found.keys():
                        break
        except ExceptionGroup as errors:
            raise first_error(errors) from None
        return found

    def blobs(self, reference: str) -> MirroredSource:
        """Return the blobs of the repository that an image reference names.

        Raises:
            UsageError: the reference is malformed.
        """
        return RepositoryBlobs(self._client, parse_reference(reference))

    async def _indexes(self, source: IndexSource, reference: str, manifest_digest: str) -> Indexes:
        parsed = parse_reference(reference)
        key = (source, parsed.name, manifest_digest)
        known = self._known.get(key)
        if known is not None and known.good_until > self._clock():
            return known.indexes
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._search(key, parsed))
            self._flights[key] = flight
            flight.add_done_callback(lambda task: self._landed(key, task))
        return await asyncio.shield(flight)

    async def _search(self, key: _Key, reference: Reference) -> Indexes:
        source, _, manifest_digest = key
        indexes = await self._find(source, reference, manifest_digest)
        lasts = _FOUND_S if indexes else _MISSED_S
        self._known[key] = _Known(indexes, self._clock() + lasts)
        return indexes

    async def _find(self, source: IndexSource, reference: Reference, digest: str) -> Indexes:
        """Return the indexes of one source that are believed."""
        trust = self._trust.of(reference)
        if trust.policy is Policy.LOCAL:
            return {}
        if source == "bootseer":
            return await self._published(trust, reference, digest)
        found = await self._foreign(source, reference, digest)
        anybody = trust.policy is Policy.ANY
        return {layer: index for layer, index in found.items() if anybody or index.vouched}

    async def _published(self, trust: Trust, reference: Reference, digest: str) -> Indexes:
        """Return the indexes of the newest artifact of an image that is believed."""
        pinned = trust.policy is Policy.PINNED
        image = await self._image(reference, digest) if pinned else None
        found = await find_artifact(
            self._client, reference, digest, lambda artifact: believed(artifact, trust, image)
        )
        entries = found.artifact.layers if found else ()
        return {
            entry.layer_digest: PublishedIndex(entry.index.digest, entry.index.size)
            for entry in entries
        }

    async def _foreign(self, source: IndexSource, reference: Reference, digest: str) -> Indexes:
        """Return the indexes in another format of one source, believed or not."""
        try:
            image = await self._image(reference, digest)
        except (CorruptError, NotFoundError) as error:
            fields = {"image": digest, "source": source, "reason": error.message}
            log.warning("index.manifest.unusable", extra={"fields": fields})
            return {}
        if image is None:
            return {}
        if source == "toc":
            return tocs_of(image)
        return await find_soci(self._client, reference, digest, image)

    async def _layers(self, reference: str, manifest_digest: str) -> Set[str]:
        """Return the digests of an image's layers; of one that cannot be read, what nobody has."""
        try:
            image = await self._image(parse_reference(reference), manifest_digest)
        except BootseerError:  # who needs the manifest asks for it, and is told
            image = None
        return {layer.digest for layer in image.layers} if image else {""}

    async def _image(self, reference: Reference, digest: str) -> ImageManifest | None:
        """Return an image's manifest, asked for once; None if it is an image index.

        Raises:
            CorruptError, NotFoundError, RemoteError: it is not to be had.
        """
        key = reference.name, digest
        if key not in self._manifests:
            raw = await self._client.manifests.get(reference, digest)
            parsed = parse_manifest(raw, self._client.settings.limits)
            self._manifests[key] = parsed if isinstance(parsed, ImageManifest) else None
        return self._manifests[key]

    def forget(self, reference: str, manifest_digest: str) -> None:
        """Look again for an image's artifact the next time: there is a new one.

        Raises:
            UsageError: the reference is malformed.
        """
        self._known.pop(("bootseer", parse_reference(reference).name, manifest_digest), None)

    def _landed(self, key: _Key, task: "asyncio.Task[Indexes]") -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # seen, also when everybody who waited is gone
