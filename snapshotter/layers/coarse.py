"""Which zstd layers have frames too large to be read at random. Pure.

A frame can only be read from its start. What one program writes in one go is one frame, however
large: `docker buildx`, podman and `zstd` itself do so.
"""

from typing import Final

import numpy as np

from snapshotter.layers.records import ChunkTable, Codec
from snapshotter.layers.zstd_stream import ZstdStream

COARSE: Final = 4 << 20
"""Uncompressed bytes of a frame above which a small file in it costs too much to read."""


def is_coarse(stream: ZstdStream) -> bool:
    """Say whether a stream has had such a frame by now."""
    return stream.largest > COARSE


def has_coarse_chunks(chunks: ChunkTable) -> bool:
    """Say whether an indexed layer has chunks that are such frames."""
    sizes = np.diff(chunks.tar)[chunks.codec == Codec.ZSTD]
    return bool((sizes > COARSE).any())
