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
    position = 0
    stream = client.blobs.stream(reference, layer.digest)
    with _naming(layer):
        async with contextlib.aclosing(stream) as pieces:
            async for piece in pieces:
                position += len(piece)
                _check_length(position, layer)
                await asyncio.to_thread(indexer.feed, piece)
                progress(position)
        done = await asyncio.to_thread(indexer.finish)
    index = done.index
    if (index.layer_digest, index.layer_size) != (layer.digest, layer.size):
        raise CorruptError(
            f"layer {layer.digest} of {layer.size} bytes: the registry sent "
            f"{index.layer_digest} of {index.layer_size} bytes"
        )
    return done


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
