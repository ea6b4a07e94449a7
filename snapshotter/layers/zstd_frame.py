"""The outside of zstd frames (RFC 8878, section 3.1), walked without decompressing.

That finds where frames end, and hands out input in portions whose output is bounded: a block gives
at most 128 KiB, however few bytes it has.
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from bootseer.errors import CorruptError

MAGIC: Final = b"\x28\xb5\x2f\xfd"
BLOCK_OUTPUT: Final = 128 << 10
"""Most bytes that one block decompresses to (Block_Maximum_Size)."""
GROUP: Final = 4
"""Most blocks in one portion."""

_SKIPPABLE: Final = bytes.fromhex("2a4d18")
_HEADER: Final = 18
"""Bytes of the longest frame header, magic included."""
_DICTIONARY_ID: Final = (0, 1, 2, 4)
_CONTENT_SIZE: Final = (0, 2, 4, 8)
_RLE: Final = 1
_RESERVED: Final = 3


def is_frame(start: bytes) -> bool:
    """Say whether these 4 bytes start a frame: of data, or a skippable one."""
    return start == MAGIC or (start[1:] == _SKIPPABLE and start[0] & 0xF0 == 0x50)


class Portion(NamedTuple):
    """Some bytes of a frame, cut at blocks."""

    data: bytes
    start: int
    """Where they start in the stream."""
    first: bool
    """They start the frame."""
    last: bool
    """They end it."""


class _Inside(Enum):
    NOTHING = auto()
    BLOCKS = auto()
    CHECKSUM = auto()
    SKIPPABLE = auto()


class FrameWalker:
    """Cuts a stream of frames into portions; skippable frames are left out.

    Holds at most one block and what was fed. Useless after an error.
    """

    def __init__(self) -> None:
        self._held = b""
        self._inside = _Inside.NOTHING
        self._skip = 0
        self._checksum = 0
        self._portion = bytearray()
        self._blocks = 0
        self._first = True
        self._position = 0
        self._start = 0

    def feed(self, piece: bytes) -> Iterator[Portion]:
        """Take the next bytes; exhaust the iterator. Raises `CorruptError`."""
        source = self._held + piece if self._held else piece
        at = 0
        while True:
            taken, complete = self._step(source, at)
            at += taken
            self._position += taken
            if complete:
                yield self._take()
            elif not taken:
                break
        self._held = source[at:]

    def finish(self) -> None:
        """Say that the stream ends here. Raises `CorruptError` inside a frame."""
        if self._held or self._inside is not _Inside.NOTHING:
            raise CorruptError("zstd stream ends inside a frame")

    def _step(self, source: bytes, at: int) -> tuple[int, bool]:
        """Take one header, block, or whatever can be taken: bytes used; is a portion complete?"""
        match self._inside:
            case _Inside.NOTHING:
                return self._begin(source, at), False
            case _Inside.SKIPPABLE:
                taken = min(self._skip, len(source) - at)
                self._skip -= taken
                if not self._skip:
                    self._inside = _Inside.NOTHING
                return taken, False
            case _Inside.BLOCKS:
                return self._block(source, at)
            case _Inside.CHECKSUM:
                return self._end(source, at)

    def _begin(self, source: bytes, at: int) -> int:
        start = source[at : at + _HEADER]
        if len(start) < 5:
            return 0
        if not is_frame(start[:4]):
            raise CorruptError(f"no zstd frame: it starts with {start[:4].hex()}")
        if start[:4] != MAGIC:
            if len(start) < 8:
                return 0
            self._skip = int.from_bytes(start[4:8], "little")
            self._inside = _Inside.SKIPPABLE if self._skip else _Inside.NOTHING
            return 8
        descriptor = start[4]
        length = _header_length(descriptor)
        if len(start) < length:
            return 0
        self._portion += start[:length]
        self._start = self._position
        self._checksum = 4 if descriptor & 0x04 else 0
        self._first = True
        self._inside = _Inside.BLOCKS
        return length

    def _block(self, source: bytes, at: int) -> tuple[int, bool]:
        if len(source) - at < 3:
            return 0, False
        header = int.from_bytes(source[at : at + 3], "little")
        kind, size = header >> 1 & 3, header >> 3
        if kind == _RESERVED or (kind != _RLE and size > BLOCK_OUTPUT):
            raise CorruptError(f"zstd block of {size} bytes and type {kind} is not allowed")
        taken = 3 + (1 if kind == _RLE else size)
        if len(source) - at < taken:
            return 0, False
        self._portion += memoryview(source)[at : at + taken]
        self._blocks += 1
        last = bool(header & 1)
        if last:
            self._inside = _Inside.CHECKSUM if self._checksum else _Inside.NOTHING
        return taken, (last and not self._checksum) or (not last and self._blocks == GROUP)

    def _end(self, source: bytes, at: int) -> tuple[int, bool]:
        if len(source) - at < self._checksum:
            return 0, False
        self._portion += source[at : at + self._checksum]
        self._inside = _Inside.NOTHING
        return self._checksum, True

    def _take(self) -> Portion:
        last = self._inside is _Inside.NOTHING
        portion = Portion(bytes(self._portion), self._start, self._first, last)
        self._portion.clear()
        self._blocks = 0
        self._first = False
        self._start = self._position
        return portion


def _header_length(descriptor: int) -> int:
    """Return the length of a frame header, magic included, from its descriptor byte."""
    if descriptor & 0x08:
        raise CorruptError("zstd frame header has its reserved bit set")
    single_segment = descriptor >> 5 & 1
    content_size = _CONTENT_SIZE[descriptor >> 6] or single_segment
    return 5 + (1 - single_segment) + _DICTIONARY_ID[descriptor & 3] + content_size
