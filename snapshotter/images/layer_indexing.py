"""Indexes one layer of an image: streams its blob through the indexer and pushes what comes out.

Nothing of the layer is kept on disk.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bootseer.digests import digest_of
from snapshotter.images.artifact import INDEX_TYPE, WINDOWS_TYPE, LayerEntry
from snapshotter.images.layer_stream import check_contents, stream_layer
from snapshotter.layers.format import encode
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.reference import Reference


class Stage(StrEnum):
    """What is being done to a layer."""

    INDEXING = "indexing"
    PUSHING = "pushing"
    INDEXED = "indexed"
    """Done: its index is published."""
    KEPT = "kept"
    """Done: an earlier artifact of the image has its index."""
    UNINDEXED = "unindexed"
    """Done: it cannot be read at random; nodes fetch it whole."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a layer is."""

    layer: Descriptor
    stage: Stage
    done: int
    """Bytes of the layer that were read."""


@dataclass(frozen=True, slots=True)
class LayerOutcome:
    """What became of a layer. Sizes in bytes."""

    digest: str
    size: int
    stage: Stage
    index_size: int = 0
    windows_size: int = 0
    chunks: int = 0
    """0 if the index was kept: it was not looked into."""
    seconds: float = 0.0
    coarse: bool = False
    """Compressed anew in smaller frames (`bootseer image convert`) it would be lazier."""


@dataclass(frozen=True, slots=True)
class DoneLayer:
    """A layer's part of the artifact; no entry if there is nothing to publish."""

    outcome: LayerOutcome
    entry: LayerEntry | None


def kept(layer: Descriptor, entry: LayerEntry | None) -> DoneLayer:
    """Return a layer that an earlier artifact covers."""
    index_size = entry.index.size if entry else 0
    windows_size = entry.windows.size if entry and entry.windows else 0
    outcome = LayerOutcome(layer.digest, layer.size, Stage.KEPT, index_size, windows_size)
    return DoneLayer(outcome, entry)


async def index_layer(
    client: RegistryClient,
    reference: Reference,
    layer: Descriptor,
    diff_id: str,
    spacing: int,
    progress: Callable[[Progress], None],
) -> DoneLayer:
    """Index a layer and push index and windows; the artifact's manifest is not touched.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: the bytes are not those of the layer's digest, or not a layer.
    """
    began = time.monotonic()
    indexer = LayerIndexer(spacing=spacing, limits=client.settings.limits)
    done = await stream_layer(
        client,
        reference,
        layer,
        indexer,
        lambda position: progress(Progress(layer, Stage.INDEXING, position)),
    )
    check_contents(layer, done.index.diff_id, diff_id)
    progress(Progress(layer, Stage.PUSHING, layer.size))
    chunks = len(done.index.chunks.codec)
    if not done.random_access:
        outcome = LayerOutcome(
            layer.digest,
            layer.size,
            Stage.UNINDEXED,
            seconds=time.monotonic() - began,
            coarse=done.coarse,
        )
        progress(Progress(layer, outcome.stage, layer.size))
        return DoneLayer(outcome, None)
    encoded = await asyncio.to_thread(encode, done.index, client.settings.limits)
    entry = LayerEntry(
        layer.digest,
        await _push(client, reference, INDEX_TYPE, encoded),
        await _push(client, reference, WINDOWS_TYPE, done.windows_blob)
        if done.windows_blob
        else None,
    )
    outcome = LayerOutcome(
        digest=layer.digest,
        size=layer.size,
        stage=Stage.INDEXED,
        index_size=len(encoded),
        windows_size=len(done.windows_blob),
        chunks=chunks,
        seconds=time.monotonic() - began,
        coarse=done.coarse,
    )
    progress(Progress(layer, outcome.stage, layer.size))
    return DoneLayer(outcome, entry)


async def _push(
    client: RegistryClient, reference: Reference, media_type: str, data: bytes
) -> Descriptor:
    digest = await asyncio.to_thread(digest_of, data)
    await client.uploads.put(reference, data, digest)
    return Descriptor(media_type, digest, len(data))
