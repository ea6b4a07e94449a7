"""Indexes an image's layers and publishes the result next to it. The image is not touched."""

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bootseer.together import together
from snapshotter.images.artifact import IndexArtifact, LayerEntry
from snapshotter.images.find import FoundArtifact, find_artifact
from snapshotter.images.layer_indexing import (
    DoneLayer,
    LayerOutcome,
    Progress,
    Stage,
    index_layer,
    kept,
)
from snapshotter.images.publish import publish
from snapshotter.images.resolve import ResolvedImage, resolve
from snapshotter.layers.indexer import SPACING
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.reference import Reference

log = logging.getLogger(__name__)

_TICK: Final = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """What became of an image."""

    image: ResolvedImage
    artifact_digest: str
    published: bool
    """False if an earlier artifact has it all."""
    layers: tuple[LayerOutcome, ...]
    """One for each distinct layer, bottom first."""


@dataclass(frozen=True, slots=True)
class IndexingPolicy:
    """How images are indexed."""

    spacing: int = SPACING
    """Uncompressed bytes between checkpoints."""
    again: bool = False
    """Index layers that have an index, too."""
    parallel: int = 2
    """Layers at a time."""


def _silent(progress: Progress) -> None:
    del progress


async def index_image(
    client: RegistryClient,
    reference: Reference,
    platform: Platform,
    policy: IndexingPolicy = IndexingPolicy(),
    progress: Callable[[Progress], None] = _silent,
) -> IndexedImage:
    """Index the layers of an image that have no index yet, and publish the artifact.

    `progress` is called on the event loop, often.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: image or layers are not what their digests say, or not layers.
    """
    image = await resolve(client, reference, platform)
    existing = await find_artifact(client, image.reference, image.digest)
    known = {} if policy.again or existing is None else _known(existing)
    done = await _layers(client, image, known, policy, progress)
    outcomes = tuple(layer.outcome for layer in done)
    if existing and all(outcome.stage is Stage.KEPT for outcome in outcomes):
        return IndexedImage(image, existing.digest, published=False, layers=outcomes)
    artifact = _artifact(image, done, existing)
    published = await publish(client, image.reference, artifact)
    fields = {"image": image.digest, "artifact": published.digest, "layers": len(done)}
    log.info("index.published", extra={"fields": fields})
    return IndexedImage(image, published.digest, published=True, layers=outcomes)


async def _layers(
    client: RegistryClient,
    image: ResolvedImage,
    known: dict[str, LayerEntry | None],
    policy: IndexingPolicy,
    progress: Callable[[Progress], None],
) -> list[DoneLayer]:
    """Return every distinct layer of the image, bottom first, indexed."""

    async def one(pair: tuple[Descriptor, str]) -> DoneLayer:
        layer, diff_id = pair
        if layer.digest in known:
            progress(Progress(layer, Stage.KEPT, layer.size))
            return kept(layer, known[layer.digest])
        return await index_layer(client, image.reference, layer, diff_id, policy.spacing, progress)

    return await together(one, image.distinct.values(), policy.parallel)


def _known(existing: FoundArtifact) -> dict[str, LayerEntry | None]:
    """Return the layers that an artifact covers; None where there is nothing to index."""
    entries: dict[str, LayerEntry | None] = dict.fromkeys(existing.artifact.unindexed)
    return entries | {entry.layer_digest: entry for entry in existing.artifact.layers}


def _artifact(
    image: ResolvedImage, done: Sequence[DoneLayer], existing: FoundArtifact | None
) -> IndexArtifact:
    """Return the artifact; it is newer than the existing one whatever the clocks say."""
    now = dt.datetime.now(dt.UTC)
    if existing is not None:
        now = max(now, existing.artifact.created + _TICK)
    return IndexArtifact(
        subject=image.descriptor,
        created=now,
        layers=tuple(layer.entry for layer in done if layer.entry),
        unindexed=tuple(layer.outcome.digest for layer in done if layer.entry is None),
    )
