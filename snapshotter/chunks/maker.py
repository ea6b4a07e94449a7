"""Chunks out of bytes of a blob: decoded, verified, written. What worker threads do.

Race-free: no state of its own. The event loop has each chunk made by one job at a time; one that
was given up because what is near hangs may still write later: the same bytes to the same place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.carrier import Cut
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.received import Part
from snapshotter.chunks.room import DiskRoom

Data: TypeAlias = bytes | memoryview


class Decode(Protocol):
    """Turns a chunk's compressed bytes into verified bytes of the data area."""

    def __call__(self, chunk: int, compressed: bytes | memoryview, window: bytes) -> Data:
        """Raise `CorruptError` naming layer and offset if the bytes are not the index's."""
        ...


@dataclass(frozen=True, slots=True)
class Made:
    """Neighbouring chunks, decoded."""

    chunks: list[Data]
    kept: bool
    """They are in the cache file."""
    fresh: memoryview | None = None
    """All of them as one, if they went past its page cache."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the chunks of one layer."""

    chunks: ChunkMap
    cache: CacheFile
    decode: Decode
    room: DiskRoom
    """Says whether the disk takes anything, and hears it when it does not."""

    def make(self, low: int, cut: Cut, windows: Sequence[bytes]) -> Made:
        """Make chunks from `low` on, as many as there are windows (blocking).

        Raises:
            CorruptError: the bytes are not the index's.
            OSError: the disk is broken, not just full; and what `cut` raises.
        """
        start, end = self.chunks.blob(low, low + len(windows))
        part = Part(start, cut(start, end))
        data: list[Data] = []
        for chunk, window in enumerate(windows, low):
            compressed = part.cut(*self.chunks.blob(chunk, chunk + 1))
            data.append(self.decode(chunk, compressed, window))
        if not self.room.takes:
            return Made(data, kept=False)
        try:
            fresh = self.cache.write_pieces(self.chunks.data(low)[0], data)
            self.cache.write_blob(start, part.cut(start, end))
        except OSError as error:
            if not self.room.refused(error):
                raise
            return Made(data, kept=False)
        self.room.taken()
        return Made(data, kept=True, fresh=fresh)
