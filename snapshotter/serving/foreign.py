"""A layer with an index of another format: fetched, made one of our indexes, written down.

What is read is checked against the image's manifest in a worker process (`convert`);
if that fails, a mirror's copy may have gone bad, and it is read once more from elsewhere.
"""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from bootseer.atomic import write_atomic
from bootseer.digests import digest_of
from bootseer.errors import CorruptError
from snapshotter.layers.foreign import chunked, estargz, ztoc
from snapshotter.layers.foreign.assembly import Layer
from snapshotter.layers.format import encode
from snapshotter.layers.records import LayerIndex
from snapshotter.limits import Limits
from snapshotter.ports import IndexKind, MirroredSource, PublishedIndex
from snapshotter.serving.layout import INDEX, WINDOWS
from snapshotter.serving.materialise import Materialised, write_metadata

log = logging.getLogger(__name__)

_TAIL: Final = 256 << 10
"""Bytes of an eStargz layer's end that are read at once: most tables are in them."""

Convert = Callable[[PublishedIndex, Layer, bytes, Path, Limits], Awaitable[Materialised]]


async def make_index(
    blobs: MirroredSource,
    layer_digest: str,
    index: PublishedIndex,
    directory: Path,
    limits: Limits,
    convert: Convert,
) -> Materialised:
    """Write index and metadata of a layer into `directory`; `convert` runs `write_index`.

    Raises:
        CorruptError: the table is not what the manifest says, or cannot be used.
        RemoteError, NotFoundError: the registry.
    """
    layer = Layer(layer_digest, index.layer_size)
    try:
        table = await _read(blobs, layer, index, limits)
        return await convert(index, layer, table, directory, limits)
    except CorruptError as error:
        fields = {"layer": layer_digest, "kind": index.kind, "reason": error.message}
        log.info("toc.read_again", extra={"fields": fields})
    await blobs.doubt(index.digest if index.kind is IndexKind.SOCI else layer_digest)
    table = await _read(blobs, layer, index, limits)
    return await convert(index, layer, table, directory, limits)


async def _read(
    blobs: MirroredSource, layer: Layer, index: PublishedIndex, limits: Limits
) -> bytes:
    """Return the bytes that hold a layer's table: of the layer, or of a blob of their own."""
    if index.kind is IndexKind.SOCI:
        return await blobs.read(index.digest, 0, index.size)
    if index.kind is not IndexKind.ESTARGZ:
        _check_size(index.size, limits)
        return await blobs.read(layer.digest, index.offset, index.size)
    start = max(0, layer.size - _TAIL)
    tail = await blobs.read(layer.digest, start, layer.size - start)
    offset = estargz.toc_offset(tail, layer.size)
    _check_size(layer.size - offset, limits)
    if offset >= start:
        return tail[offset - start :]
    return await blobs.read(layer.digest, offset, start - offset) + tail


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.toc:
        raise CorruptError(f"table of contents of {size} bytes, {limits.toc} are accepted")


def write_index(
    index: PublishedIndex, layer: Layer, table: bytes, directory: Path, limits: Limits
) -> Materialised:
    """Make an index of a layer's table and write it and the metadata. Runs in a worker process.

    Raises:
        CorruptError: the table is not what the manifest says, or cannot be used.
    """
    made, windows = _converted(index, layer, table, limits)
    if windows:
        write_atomic(directory / WINDOWS, windows, durable=False)
    encoded = encode(made, limits)
    write_atomic(directory / INDEX, encoded, durable=False)
    return write_metadata(made, digest_of(encoded), directory)


def _converted(
    index: PublishedIndex, layer: Layer, table: bytes, limits: Limits
) -> tuple[LayerIndex, bytes]:
    """Return the index, and its windows."""
    match index.kind:
        case IndexKind.ESTARGZ:
            return estargz.convert(layer, index.digest, table, limits), b""
        case IndexKind.ZSTD_CHUNKED:
            place = chunked.Place(index.digest, index.offset, index.size)
            return chunked.convert(layer, place, table, limits), b""
        case IndexKind.SOCI:
            made = ztoc.convert(layer, index.digest, table, limits)
            return made.index, made.windows
        case _:
            raise CorruptError(f"an index of kind {index.kind} is not made into another")
