"""Layers on their way from one repository to another, in files: complete and checked."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from bootseer.errors import HostError
from snapshotter.images.layer_stream import check_blob, check_contents, feed_layer, naming
from snapshotter.layers.reframe import Reframed, Reframer
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.reference import Reference


async def spool_reframed(
    client: RegistryClient,
    reference: Reference,
    layer: Descriptor,
    diff_id: str,
    path: Path,
    level: int,
    progress: Callable[[int], None],
) -> Reframed:
    """Write a zstd layer, cut into small frames, into a file; never all of it is in memory.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: the bytes are not those of the layer's digest, or not zstd, or their contents
            not what the image's configuration says.
        HostError: the file cannot be written.
    """
    try:
        with path.open("wb") as file:
            reframer = Reframer(file.write, level=level, limits=client.settings.limits)
            with naming(layer):
                await feed_layer(client, reference, layer, reframer.feed, progress)
                done = await asyncio.to_thread(reframer.finish)
    except OSError as error:
        raise _unwritten(path, error) from error
    check_blob(layer, done.source_digest, done.source_size)
    check_contents(layer, done.diff_id, diff_id)
    return done


async def spool_copy(
    client: RegistryClient,
    reference: Reference,
    layer: Descriptor,
    path: Path,
    progress: Callable[[int], None],
) -> None:
    """Write a layer into a file as it is.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: the bytes are not those of the layer's digest.
        HostError: the file cannot be written.
    """
    digest = sha256()

    try:
        with path.open("wb") as file:

            def take(piece: bytes) -> None:
                digest.update(piece)
                file.write(piece)

            await feed_layer(client, reference, layer, take, progress)
    except OSError as error:
        raise _unwritten(path, error) from error
    check_blob(layer, f"sha256:{digest.hexdigest()}", path.stat().st_size)


def _unwritten(path: Path, error: OSError) -> HostError:
    return HostError(
        f"cannot keep a layer in {path}: {error.strerror or error}",
        hint="TMPDIR names a directory with more room",
    )
