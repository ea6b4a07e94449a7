"""Finds the published indexes of an image."""

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bootseer.errors import CorruptError, NotFoundError
from snapshotter.images.artifact import ARTIFACT_TYPE, CREATED, IndexArtifact, parse, parse_time
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.reference import Reference

log = logging.getLogger(__name__)

_UNKNOWN: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """An index artifact of an image, and its own digest."""

    digest: str
    artifact: IndexArtifact


def newest_first(listed: Iterable[Descriptor]) -> list[Descriptor]:
    """Return descriptors by their time of creation; those without one last, in their order."""

    def created(descriptor: Descriptor) -> dt.datetime:
        return parse_time(descriptor.annotations.get(CREATED, "")) or _UNKNOWN

    return sorted(listed, key=created, reverse=True)


async def find_artifact(
    client: RegistryClient, reference: Reference, manifest_digest: str
) -> FoundArtifact | None:
    """Return the newest index artifact of an image that can be used; None if there is none.

    A list of referrers need not say when its entries were created. Where one says so of all, the
    newest valid one is fetched; where it does not, the undated ones are fetched as well. What is
    broken or gone, an artifact or the list itself, is logged and passed over: an index is an
    optimisation, and the image works without.

    Raises:
        RemoteError: the registry cannot say.
    """
    try:
        listed = await client.referrers.list(reference, manifest_digest, ARTIFACT_TYPE)
    except CorruptError as error:
        fields = {"image": manifest_digest, "reason": error.message}
        log.warning("index.referrers.unusable", extra={"fields": fields})
        return None
    best: FoundArtifact | None = None
    for descriptor in newest_first(listed)[: client.settings.limits.artifacts]:
        dated = parse_time(descriptor.annotations.get(CREATED, "")) is not None
        if best is not None and dated:
            continue
        found = await _usable(client, reference, manifest_digest, descriptor)
        if found and (best is None or found.artifact.created > best.artifact.created):
            best = found
    return best


async def _usable(
    client: RegistryClient, reference: Reference, manifest_digest: str, descriptor: Descriptor
) -> FoundArtifact | None:
    try:
        raw = await client.manifests.get(reference, descriptor.digest)
        artifact = parse(raw, manifest_digest, client.settings.limits)
    except (CorruptError, NotFoundError) as error:
        fields = {"artifact": descriptor.digest, "image": manifest_digest, "reason": error.message}
        log.warning("index.artifact.unusable", extra={"fields": fields})
        return None
    return FoundArtifact(descriptor.digest, artifact)
