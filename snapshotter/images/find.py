"""Finds the published indexes of an image."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from snapshotter.images.artifact import ARTIFACT_TYPE, CREATED, IndexArtifact, parse, parse_time
from snapshotter.images.referring import Subject
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import Reference

log = logging.getLogger(__name__)

Believe: TypeAlias = Callable[[IndexArtifact], tuple[IndexArtifact | None, str]]
"""What is believed of an artifact, or None and why nothing is."""


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """An index artifact of an image, and its own digest."""

    digest: str
    artifact: IndexArtifact


def _everything(artifact: IndexArtifact) -> tuple[IndexArtifact, str]:
    return artifact, ""


async def find_artifact(
    client: RegistryClient,
    reference: Reference,
    manifest_digest: str,
    believe: Believe = _everything,
) -> FoundArtifact | None:
    """Return the newest index artifact of an image that can be used; None if there is none.

    A list of referrers need not say when its entries were created. Where one says so of all, the
    newest valid one is fetched; where it does not, the undated ones are fetched as well. What is
    broken or gone, an artifact or the list itself, is logged and passed over.

    Raises:
        RemoteError: the registry cannot say.
    """
    subject = Subject(client, reference, manifest_digest, "index")
    limits = client.settings.limits
    best: FoundArtifact | None = None
    for listed in (await subject.list(ARTIFACT_TYPE))[: limits.artifacts]:
        dated = parse_time(listed.annotations.get(CREATED, "")) is not None
        if best is not None and dated:
            continue
        fetched = await subject.fetch(listed, lambda raw: parse(raw, manifest_digest, limits))
        if fetched is None:
            continue
        found, reason = believe(fetched)
        if found is None:
            fields = {"artifact": listed.digest, "image": str(reference), "reason": reason}
            log.warning("index.not_believed", extra={"fields": fields})
        elif best is None or found.created > best.artifact.created:
            best = FoundArtifact(listed.digest, found)
    return best
