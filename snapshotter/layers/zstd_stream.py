"""A zstd layer (RFC 8878, any number of frames) as a stream of tar bytes and cuts.

A frame can only be read from its start, so chunks are whole frames: one, or several small ones.
"""

from collections.abc import Iterator
from typing import Final

import zstandard

from bootseer.errors import CorruptError
from snapshotter.layers.events import Cut, Event, Piece
from snapshotter.layers.records import Codec
from snapshotter.layers.zstd_frame import FrameWalker
from snapshotter.limits import Limits

_SHARE: Final = 4
"""A frame starts a chunk from this part of `spacing` on: unlike deflate it costs no window."""


class ZstdStream:
    """A `LayerStream` of zstd."""

    def __init__(self, spacing: int, limits: Limits) -> None:
        self._least = max(1, spacing // _SHARE)
        self._walker = FrameWalker()
        self._context = zstandard.ZstdDecompressor(max_window_size=limits.zstd_window)
        self._frame = self._context.decompressobj()
        self._since_cut = self._least
        self._cuts = 0
        self._in_frame = 0
        self.largest = 0
        """Uncompressed bytes of the largest frame so far, an unfinished one included."""

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Take the next bytes of the blob. Raises `CorruptError`."""
        for portion in self._walker.feed(piece):
            if portion.first:
                self._frame = self._context.decompressobj()
                self._in_frame = 0
                if self._since_cut >= self._least:
                    yield self._cut(portion.start)
            data = self._decompress(portion.data)
            if data:
                self._since_cut += len(data)
                self._in_frame += len(data)
                self.largest = max(self.largest, self._in_frame)
                yield Piece(data, portion.start)
            if portion.last and not self._frame.eof:
                raise CorruptError("zstd frame is longer than its blocks")

    def finish(self) -> Iterator[Event]:
        """Say that the blob ends here. Raises `CorruptError` inside a frame."""
        self._walker.finish()
        yield from ()

    def _cut(self, blob: int) -> Cut:
        self._since_cut = 0
        self._cuts += 1
        # The first chunk starts the blob, whatever stands in front of the first frame.
        return Cut(blob, Codec.ZSTD) if self._cuts > 1 else Cut(0, Codec.ZSTD, skip=blob)

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._frame.decompress(data)
        except zstandard.ZstdError as error:
            raise CorruptError(f"zstd frame is damaged: {error}") from error
