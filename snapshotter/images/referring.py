"""Artifacts whose subject is an image's manifest: listed, fetched, published. Of any type.

What is broken or gone, an artifact or the list itself, is logged and passed over: an artifact is an
optimisation, and the image works without.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from bootseer.digests import digest_of
from bootseer.errors import CorruptError, NotFoundError
from snapshotter.images.artifact import CREATED, EMPTY, EMPTY_CONFIG, parse_time
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest
from snapshotter.registry.reference import Reference

log = logging.getLogger(__name__)

T = TypeVar("T")

_UNKNOWN: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Subject:
    """An image, whose artifacts are looked for."""

    client: RegistryClient
    reference: Reference
    """Any image of the repository."""
    manifest_digest: str
    noun: str
    """What the artifacts are about, for the names of log lines: `index`, `hot`."""

    async def list(self, artifact_type: str) -> list[Descriptor]:
        """Return the artifacts of a type, newest first; those without a time come last.

        Raises:
            RemoteError: the registry cannot say.
        """
        try:
            listed = await self.client.referrers.list(
                self.reference, self.manifest_digest, artifact_type
            )
        except CorruptError as error:
            fields = {"image": self.manifest_digest, "reason": error.message}
            log.warning("%s.referrers.unusable", self.noun, extra={"fields": fields})
            return []
        return newest_first(listed)

    async def fetch(self, listed: Descriptor, parse: Callable[[RawManifest], T]) -> T | None:
        """Return a listed artifact, parsed; None if it is gone, or `parse` raises `CorruptError`.

        Raises:
            RemoteError: it cannot be had now.
        """
        try:
            return parse(await self.client.manifests.get(self.reference, listed.digest))
        except (CorruptError, NotFoundError) as error:
            fields = {
                "artifact": listed.digest,
                "image": self.manifest_digest,
                "reason": error.message,
            }
            log.warning("%s.artifact.unusable", self.noun, extra={"fields": fields})
            return None

    async def publish(
        self, artifact_type: str, manifest: bytes, annotations: Mapping[str, str]
    ) -> Descriptor:
        """Push an artifact's manifest and list it under the image; return its descriptor.

        The blobs it names must be there already. The image is not touched. `annotations` go into
        the list where that is ours to write.

        Raises:
            NotFoundError, RemoteError: the registry refuses.
            CorruptError: the registry's list of referrers is malformed.
        """
        await self.client.uploads.put(self.reference, EMPTY, EMPTY_CONFIG.digest)
        descriptor = Descriptor(
            OCI_MANIFEST, digest_of(manifest), len(manifest), artifact_type=artifact_type
        )
        pushed = await self.client.manifests.put(
            self.reference, descriptor.digest, OCI_MANIFEST, manifest
        )
        if pushed.subject != self.manifest_digest:
            listed = replace(descriptor, annotations=dict(annotations))
            await self.client.referrers.announce(self.reference, self.manifest_digest, listed)
        return descriptor


def newest_first(listed: Iterable[Descriptor]) -> list[Descriptor]:
    """Return descriptors by their time of creation; those without one last, in their order."""

    def created(descriptor: Descriptor) -> dt.datetime:
        return parse_time(descriptor.annotations.get(CREATED, "")) or _UNKNOWN

    return sorted(listed, key=created, reverse=True)
