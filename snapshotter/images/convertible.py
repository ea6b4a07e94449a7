"""Which layers of an image are worth converting: zstd in frames too large to be read at random."""

import asyncio
import contextlib
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bootseer.together import together
from snapshotter.images.layer_stream import naming
from snapshotter.images.resolve import ResolvedImage
from snapshotter.images.tocs import tocs_of
from snapshotter.layers import zstd_frame
from snapshotter.layers.coarse import COARSE, is_coarse
from snapshotter.layers.zstd_stream import ZstdStream
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor

_MAGIC: Final = len(zstd_frame.MAGIC)


class Reason(StrEnum):
    """Why a layer is converted, or not."""

    COARSE = f"a zstd frame of more than {COARSE >> 20} MiB"
    FINE = "zstd in small frames"
    TABLE = "a table of contents of its own"
    OTHER = "not zstd"


@dataclass(frozen=True, slots=True)
class JudgedLayer:
    """A layer, and what is to be done with it."""

    layer: Descriptor
    diff_id: str
    reason: Reason

    @property
    def convert(self) -> bool:
        """Whether it is compressed anew."""
        return self.reason is Reason.COARSE


async def judge_layers(
    client: RegistryClient, image: ResolvedImage, parallel: int
) -> Sequence[JudgedLayer]:
    """Return every distinct layer of an image, bottom first, with what is to be done with it.

    Of a layer of one large frame 4 MiB are decompressed, of one in small frames everything.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: a layer is not the zstd that it begins as.
    """
    tables = tocs_of(image.manifest)

    async def one(pair: tuple[Descriptor, str]) -> JudgedLayer:
        layer, diff_id = pair
        return JudgedLayer(layer, diff_id, await _judge(client, image, layer, tables))

    return await together(one, image.distinct.values(), parallel)


async def _judge(
    client: RegistryClient, image: ResolvedImage, layer: Descriptor, tables: Container[str]
) -> Reason:
    if layer.digest in tables:
        return Reason.TABLE
    if layer.size < _MAGIC:
        return Reason.OTHER
    start = await client.blobs.read(image.reference, layer.digest, 0, _MAGIC)
    if not zstd_frame.is_frame(start):
        return Reason.OTHER
    stream = ZstdStream(COARSE, client.settings.limits)
    blob = client.blobs.stream(image.reference, layer.digest)
    with naming(layer):
        async with contextlib.aclosing(blob) as pieces:
            async for piece in pieces:
                if await asyncio.to_thread(_coarse_with, stream, piece):
                    return Reason.COARSE
    return Reason.FINE


def _coarse_with(stream: ZstdStream, piece: bytes) -> bool:
    """Feed a stream; say whether it has a large frame by now. A piece may hold gigabytes."""
    return any(is_coarse(stream) for _ in stream.feed(piece))
