"""A gzip layer (RFC 1952, any number of members) as a stream of tar bytes, cuts and windows.

Where to cut: at the first block boundary at least `spacing` uncompressed bytes behind the last cut
(libz is asked for boundaries only from there on), and already after a quarter of it where a
member starts, since that needs no window. Many small members share a chunk.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from isal import isal_zlib

from bootseer.errors import CorruptError
from snapshotter.layers.deflate import PIECE, BlockInflater, StreamInflater
from snapshotter.layers.events import Cut, Event, Piece, Window
from snapshotter.layers.gzip_member import TRAILER, check_trailer, header_length
from snapshotter.layers.records import Codec
from snapshotter.layers.windows import LOOKAHEAD

_MEMBER_SHARE: Final = 4


class _Inside(Enum):
    HEADER = auto()
    BODY = auto()
    TRAILER = auto()


@dataclass(slots=True)
class _Waiting:
    """A cut whose lookahead is not complete."""

    cut: int
    content: bytes
    bits: int
    compressed: bytes

    def take(self, more: bytes) -> bool:
        self.compressed += more[: LOOKAHEAD - len(self.compressed)]
        return len(self.compressed) == LOOKAHEAD

    def window(self) -> Window:
        return Window(self.cut, self.content, self.bits, self.compressed)


class GzipStream:
    """A `LayerStream` of gzip. Without `windows` it is twice as fast and cuts at members only."""

    def __init__(self, spacing: int, *, windows: bool = True) -> None:
        self._spacing = spacing
        self._blocks = BlockInflater() if windows else None
        self._inflater = self._blocks or StreamInflater()
        self._inside = _Inside.HEADER
        self._held = b""  # the beginning of a header or trailer
        self._blob = 0  # where the held bytes start in the blob
        self._crc = 0
        self._length = 0  # of the member, uncompressed
        self._cuts = 0
        self._since_cut = 0
        self._waiting: list[_Waiting] = []

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Take the next bytes of the blob. Raises `CorruptError`."""
        yield from self._look_ahead(piece)
        source = self._held + piece if self._held else piece
        at, moved = 0, True
        while moved and at < len(source):
            before, inside = at, self._inside
            match inside:
                case _Inside.HEADER:
                    at = yield from self._header(source, at)
                case _Inside.BODY:
                    at = yield from self._body(source, at)
                case _Inside.TRAILER:
                    at = self._trailer(source, at)
            moved = (at, self._inside) != (before, inside)
        self._held = source[at:]
        self._blob += at

    def finish(self) -> Iterator[Event]:
        """Say that the blob ends here. Raises `CorruptError` inside a member."""
        if self._inside is not _Inside.HEADER or self._held:
            where = self._inside.name.lower()
            raise CorruptError(f"gzip stream ends inside a member's {where}")
        for waiting in self._waiting:
            yield waiting.window()
        self._waiting.clear()

    def _header(self, source: bytes, at: int) -> Generator[Event, None, int]:
        length = header_length(source, at)
        if length is None:
            return at
        if not self._cuts or self._since_cut >= max(1, self._spacing // _MEMBER_SHARE):
            yield self._cut(self._blob + at, skip=length)
        self._inflater.reset()
        self._crc = self._length = 0
        self._inside = _Inside.BODY
        return at + length

    def _trailer(self, source: bytes, at: int) -> int:
        if len(source) - at < TRAILER:
            return at
        check_trailer(source[at : at + TRAILER], self._crc, self._length)
        self._inside = _Inside.HEADER
        return at + TRAILER

    def _body(self, source: bytes, at: int) -> Generator[Event, None, int]:
        """Inflate until the member or the input ends."""
        inflater = self._inflater
        inflater.give(source, at)
        while not inflater.ended:
            before = inflater.position
            missing = self._spacing - self._since_cut
            to_block = missing <= 0 and self._blocks is not None
            room = PIECE if missing <= 0 else min(PIECE, missing)
            data = inflater.step(room, to_block=to_block)
            if data:
                self._crc = isal_zlib.crc32(data, self._crc)
                self._length += len(data)
                self._since_cut += len(data)
                yield Piece(data, self._blob + before)
            if self._blocks and self._blocks.boundary:
                yield from self._checkpoint(self._blocks, source)
            elif not data and inflater.position == len(source):
                return len(source)
        self._inside = _Inside.TRAILER
        return inflater.position

    def _checkpoint(self, inflater: BlockInflater, source: bytes) -> Iterator[Event]:
        unused = inflater.unused_bits
        at = inflater.position - (1 if unused else 0)
        bits = -unused % 8
        waiting = _Waiting(self._cuts, inflater.window(), bits, b"")
        yield self._cut(self._blob + at, bits=bits)
        if waiting.take(source[at : at + LOOKAHEAD]):
            yield waiting.window()
        else:
            self._waiting.append(waiting)

    def _cut(self, blob: int, *, skip: int = 0, bits: int = 0) -> Cut:
        self._cuts += 1
        self._since_cut = 0
        return Cut(blob, Codec.DEFLATE, skip, bits)

    def _look_ahead(self, piece: bytes) -> Iterator[Window]:
        """Hand out the windows whose lookahead is complete now; they come in order."""
        full = [waiting for waiting in self._waiting if waiting.take(piece)]
        del self._waiting[: len(full)]
        for waiting in full:
            yield waiting.window()
