"""What a chunk holds, moved to where it belongs in the data area. Pure."""

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.layers.records import ChunkTable, Extents


def arrange(
    chunks: ChunkTable, extents: Extents, chunk: int, tar: bytes | memoryview
) -> bytes | memoryview:
    """Return the part of the data area that the chunk's bytes of the tar make up.

    Raises:
        CorruptError: an extent lies outside the chunk that should hold it.
    """
    start, end = int(chunks.data[chunk]), int(chunks.data[chunk + 1])
    origin = int(chunks.tar[chunk])
    first = max(0, int(np.searchsorted(extents.data, np.uint64(start), side="right")) - 1)
    last = int(np.searchsorted(extents.data, np.uint64(end)))
    rows = zip(
        extents.data[first:last].tolist(),
        extents.tar[first:last].tolist(),
        extents.length[first:last].tolist(),
        strict=True,
    )
    source, filled = memoryview(tar), start
    pieces: list[bytes | memoryview] = []
    for data, position, length in rows:
        low, high = max(data, start), min(data + length, end)
        if low >= high:
            continue
        at = position + (low - data) - origin
        if at < 0 or at + (high - low) > len(source) or low < filled:
            raise CorruptError("an extent lies outside the chunk that should hold it")
        if low > filled:
            pieces.append(bytes(low - filled))
        pieces.append(source[at : at + (high - low)])
        filled = high
    if filled < end:
        pieces.append(bytes(end - filled))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
