"""A layer without an index: stream it once, index it on the way, keep its data area on disk.

That takes the place of untarring: the result is a data area and metadata like those of every other
layer, complete and checked, so it is mounted without FUSE. Runs in a worker process: see
`workers`; it does its own downloading, so that a gigabyte never passes through the server.
"""

import asyncio
import contextlib
import hashlib
import os
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bootseer.atomic import write_atomic
from bootseer.errors import CorruptError, HostError
from bootseer.write_all import write_all
from snapshotter.layers.format import encode
from snapshotter.layers.indexer import SPACING, IndexedLayer, LayerIndexer
from snapshotter.limits import Limits
from snapshotter.ports import MirroredSource
from snapshotter.serving.materialise import Materialised, write_metadata
from snapshotter.serving.unpublished import PublishJob, keep


class IngestJob(Protocol):
    """How a worker reaches a repository's blobs; must pickle."""

    def open(self) -> AbstractAsyncContextManager[MirroredSource]:
        """Connect; closed by leaving the context."""
        ...


def ingest(
    job: IngestJob,
    layer_digest: str,
    directory: Path,
    limits: Limits,
    publish: PublishJob | None = None,
) -> Materialised:
    """Fetch the layer, write `data`, `index` and the EROFS metadata into `directory`.

    `publish`: leave there as well what is to be published.

    Raises:
        CorruptError: the bytes are not those of the digest, or not a layer.
        RemoteError, NotFoundError: the registry.
        HostError: the disk.
    """
    try:
        return asyncio.run(_ingest(job, layer_digest, directory, limits, publish))
    except OSError as error:
        raise HostError(f"cannot unpack layer {layer_digest} into {directory}: {error}") from error


async def _ingest(
    job: IngestJob,
    layer_digest: str,
    directory: Path,
    limits: Limits,
    publish: PublishJob | None,
) -> Materialised:
    spacing = publish.spacing if publish else None
    data = os.open(directory / "data", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        async with job.open() as blobs:
            try:
                layer = await _index(blobs, layer_digest, data, limits, spacing)
            except CorruptError:  # a mirror's copy may have gone bad
                await blobs.doubt(layer_digest)
                os.ftruncate(data, 0)
                layer = await _index(blobs, layer_digest, data, limits, spacing)
        os.ftruncate(data, layer.index.data_size)
        os.fdatasync(data)
    finally:
        os.close(data)
    encoded = encode(layer.index)
    write_atomic(directory / "index", encoded)
    digest = f"sha256:{hashlib.sha256(encoded).hexdigest()}"
    if publish:
        keep(directory, publish.image, layer.windows_blob, random_access=layer.random_access)
    return replace(write_metadata(layer.index, digest, directory), coarse=layer.coarse)


async def _index(
    blobs: MirroredSource, layer_digest: str, data: int, limits: Limits, spacing: int | None
) -> IndexedLayer:
    """Return the layer's index; fit to read it at random only with a `spacing`."""

    def write(offset: int, piece: bytes | memoryview) -> None:
        write_all(data, offset, piece)

    indexer = LayerIndexer(
        spacing=spacing or SPACING, limits=limits, windows=spacing is not None, sink=write
    )
    async with contextlib.aclosing(blobs.stream(layer_digest)) as pieces:
        async for piece in pieces:
            await asyncio.to_thread(indexer.feed, piece)
    layer = await asyncio.to_thread(indexer.finish)
    found = layer.index.layer_digest
    if found != layer_digest:
        raise CorruptError(f"layer {layer_digest}: the registry sent bytes of {found}")
    return layer


def refetch(job: IngestJob, layer_digest: str, blob: Path) -> None:
    """Fetch the compressed layer into the file `blob`, whole.

    Raises:
        CorruptError: the registry's bytes are not those of the digest.
        RemoteError, NotFoundError, HostError: it cannot be fetched, or not be kept.
    """
    try:
        asyncio.run(_refetch(job, layer_digest, blob))
    except OSError as error:
        raise HostError(f"cannot keep layer {layer_digest} in {blob}: {error}") from error


async def _refetch(job: IngestJob, layer_digest: str, blob: Path) -> None:
    async with job.open() as blobs:
        found = await _copy(blobs, layer_digest, blob)
        if found != layer_digest:
            await blobs.doubt(layer_digest)
            found = await _copy(blobs, layer_digest, blob)
    if found != layer_digest:
        raise CorruptError(f"layer {layer_digest}: the registry sent bytes of {found}")


async def _copy(blobs: MirroredSource, layer_digest: str, blob: Path) -> str:
    """Write a blob into a file as it comes; return the digest of what came."""
    digest = hashlib.sha256()
    with blob.open("wb") as file:
        async with contextlib.aclosing(blobs.stream(layer_digest)) as pieces:
            async for piece in pieces:
                digest.update(piece)
                file.write(piece)
    return f"sha256:{digest.hexdigest()}"
