"""Begins to read an image's pack: its front, checked against the layers that are here.

Race-free: nothing is kept between calls.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from bootseer.errors import CorruptError
from snapshotter.blocks.names import LayerName
from snapshotter.hot.unpack import Expected, OpenedPack, PackStream
from snapshotter.layers.records import I64
from snapshotter.ports import BlobSource, PublishedPack
from snapshotter.serving.layout import LayerRecord
from snapshotter.starts.ahead import AheadRoom, ReceivedAhead
from snapshotter.starts.feed import Download


async def open_pack(
    pack: PublishedPack,
    source: BlobSource,
    layers: Callable[[], Awaitable[Mapping[LayerName, LayerRecord]]],
    room: AheadRoom,
) -> tuple[Download, OpenedPack, Mapping[LayerName, LayerRecord]]:
    """Begin to download a pack, and read its front with what the layers' indexes say.

    The request is under way while `layers` makes those of the image present.

    Raises:
        NotFoundError, RemoteError: the pack is not to be had.
        CorruptError: it is damaged, or of other layers than those of the image.
    """
    began = time.monotonic()
    pieces = ReceivedAhead(source.stream(pack.digest, 0), room)
    try:
        present = await layers()
        stream = PackStream(_expected(present))
        opened = await _read_front(stream, pieces, pack.digest)
        _check_useful(opened, present, pack.digest)
    except BaseException:
        await pieces.aclose()
        raise
    return Download(stream, pieces, began), opened, present


async def _read_front(stream: PackStream, pieces: ReceivedAhead, digest: str) -> OpenedPack:
    # Hashes of thousands of blocks are checked: in a thread, so that the link does not idle.
    while (opened := await asyncio.to_thread(stream.open)) is None:
        piece = await anext(pieces, b"")
        if not piece:
            raise CorruptError(f"hot pack {digest} ends in its directory")
        stream.receive(piece)
    return opened


def _check_useful(
    opened: OpenedPack, present: Mapping[LayerName, LayerRecord], digest: str
) -> None:
    if present and not opened.wanted:
        raise CorruptError(
            f"hot pack {digest} was made by other indexes than the image has now",
            hint="make it again: bootseer hot pack",
        )


def _expected(present: Mapping[LayerName, LayerRecord]) -> dict[str, Expected]:
    return {
        record.layer_digest: Expected(bytes.fromhex(record.merkle_root), record.size)
        for record in present.values()
        if record.merkle_root
    }


def blocks_by_name(
    opened: OpenedPack, present: Mapping[LayerName, LayerRecord]
) -> dict[LayerName, I64]:
    """Return the blocks of each layer's hot area."""
    names = {record.layer_digest: name for name, record in present.items()}
    return {
        names[opened.directory.layers[row].layer_digest]: opened.directory.blocks_of(row)
        for row in sorted(opened.wanted)
    }
