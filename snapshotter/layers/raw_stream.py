"""An uncompressed tar layer: any byte is a good place to cut."""

from collections.abc import Iterator
from typing import Final

from snapshotter.layers.events import Cut, Event, Piece
from snapshotter.layers.records import Codec

_PIECE: Final = 256 << 10


class RawStream:
    """A `LayerStream` of plain tar, cut every `spacing` bytes."""

    def __init__(self, spacing: int) -> None:
        self._spacing = spacing
        self._blob = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Take the next bytes of the blob."""
        view = memoryview(piece)
        at = 0
        while at < len(view):
            if self._blob % self._spacing == 0:
                yield Cut(self._blob, Codec.RAW)
            to_cut = self._spacing - self._blob % self._spacing
            data = view[at : at + min(_PIECE, to_cut)]
            yield Piece(data, self._blob)
            at += len(data)
            self._blob += len(data)

    def finish(self) -> Iterator[Event]:
        """Say that the blob ends here; how a tar has to end is the tar reader's business."""
        yield from ()
