"""Indexes one layer of an image: streams its blob through the indexer and pushes what comes out.

Nothing of the layer is kept on disk. Reading is the event loop's work, indexing a thread's: a
piece is handed over and waited for, so that the network never runs ahead of the indexer by more
than its own buffers.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bootseer.errors import CorruptError
from snapshotter.images.artifact import INDEX_TYPE, WINDOWS_TYPE, LayerEntry
from snapshotter.layers.format import encode
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.digests import digest_of
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
    done = await _stream(client, reference, layer, spacing, progress)
    _check(done, layer, diff_id)
    progress(Progress(layer, Stage.PUSHING, layer.size))
    chunks = len(done.index.chunks.codec)
    if not done.random_access:
        outcome = LayerOutcome(
            layer.digest, layer.size, Stage.UNINDEXED, seconds=time.monotonic() - began
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
    )
    progress(Progress(layer, outcome.stage, layer.size))
    return DoneLayer(outcome, entry)


async def _stream(
    client: RegistryClient,
    reference: Reference,
    layer: Descriptor,
    spacing: int,
    progress: Callable[[Progress], None],
) -> IndexedLayer:
    indexer = LayerIndexer(spacing=spacing, limits=client.settings.limits)
    position = 0
    stream = client.blobs.stream(reference, layer.digest)
    with _naming(layer):
        async with contextlib.aclosing(stream) as pieces:
            async for piece in pieces:
                position += len(piece)
                _check_length(position, layer)
                await asyncio.to_thread(indexer.feed, piece)
                progress(Progress(layer, Stage.INDEXING, position))
        return await asyncio.to_thread(indexer.finish)


@contextlib.contextmanager
def _naming(layer: Descriptor) -> Iterator[None]:
    """Put the layer's name in front of what the indexer, which knows none, complains about."""
    try:
        yield
    except CorruptError as error:
        raise CorruptError(f"layer {layer.digest}: {error.message}", hint=error.hint) from error


def _check_length(position: int, layer: Descriptor) -> None:
    if position > layer.size:
        raise CorruptError(f"the registry sends more than {layer.size} bytes")


def _check(done: IndexedLayer, layer: Descriptor, diff_id: str) -> None:
    index = done.index
    if (index.layer_digest, index.layer_size) != (layer.digest, layer.size):
        raise CorruptError(
            f"layer {layer.digest} of {layer.size} bytes: the registry sent "
            f"{index.layer_digest} of {index.layer_size} bytes"
        )
    if index.diff_id != diff_id:
        raise CorruptError(
            f"layer {layer.digest}: its contents are {index.diff_id}, "
            f"the image configuration says {diff_id}"
        )


async def _push(
    client: RegistryClient, reference: Reference, media_type: str, data: bytes
) -> Descriptor:
    digest = await asyncio.to_thread(digest_of, data)
    await client.uploads.put(reference, data, digest)
    return Descriptor(media_type, digest, len(data))
