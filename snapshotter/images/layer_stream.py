"""A layer's blob through the indexer: read once, checked, nothing kept but what a sink takes.

Reading is the event loop's work, indexing a thread's: a piece is handed over and waited for, so
that the network never runs ahead of the indexer by more than its own buffers.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from bootseer.errors import CorruptError
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.reference import Reference


async def stream_layer(
    client: RegistryClient,
    reference: Reference,
    layer: Descriptor,
    indexer: LayerIndexer,
    progress: Callable[[int], None],
) -> IndexedLayer:
    """Feed a layer to an indexer and return what it found; `progress` gets the bytes read so far.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: the bytes are not those of the layer's digest, or not a layer.
    """
    with naming(layer):
        await feed_layer(client, reference, layer, indexer.feed, progress)
        done = await asyncio.to_thread(indexer.finish)
    check_blob(layer, done.index.layer_digest, done.index.layer_size)
    return done


async def feed_layer(
    client: RegistryClient,
    reference: Reference,
    layer: Descriptor,
    feed: Callable[[bytes], object],
    progress: Callable[[int], None],
) -> None:
    """Call `feed`, in a thread, with all bytes of a layer, as they come; they are not checked.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: the registry sends more than it should. And what `feed` raises.
    """
    position = 0
    stream = client.blobs.stream(reference, layer.digest)
    async with contextlib.aclosing(stream) as pieces:
        async for piece in pieces:
            position += len(piece)
            _check_length(position, layer)
            await asyncio.to_thread(feed, piece)
            progress(position)


def check_blob(layer: Descriptor, digest: str, size: int) -> None:
    """Raise `CorruptError` unless the bytes that came have the layer's digest and size."""
    if (digest, size) != (layer.digest, layer.size):
        raise CorruptError(
            f"layer {layer.digest} of {layer.size} bytes: the registry sent "
            f"{digest} of {size} bytes"
        )


def check_contents(layer: Descriptor, found: str, diff_id: str) -> None:
    """Raise `CorruptError` unless a layer's contents have the digest that the image says."""
    if found != diff_id:
        raise CorruptError(
            f"layer {layer.digest}: its contents are {found}, "
            f"the image configuration says {diff_id}"
        )


@contextlib.contextmanager
def naming(layer: Descriptor) -> Iterator[None]:
    """Put the layer's name in front of what a reader of it, which knows none, complains about."""
    try:
        yield
    except CorruptError as error:
        raise CorruptError(f"layer {layer.digest}: {error.message}", hint=error.hint) from error


def _check_length(position: int, layer: Descriptor) -> None:
    if position > layer.size:
        raise CorruptError(f"the registry sends more than {layer.size} bytes")
