"""Raw deflate (RFC 1951): find where it can be entered, and enter it there.

Deflate blocks start at any bit, and what follows may refer to the 32 KiB before. So to enter a
stream one needs the offset of a block, the bits of its first byte that belong to the block before,
and those 32 KiB: the *window*. `BlockInflater` finds the first two and has the third; it is libz,
which alone tells where blocks end. `StreamInflater` and `inflate_span` are ISA-L, twice as fast.
"""

import ctypes
import weakref
from typing import Final, Protocol, cast

from isal import igzip_lib, isal_zlib

from bootseer.errors import CorruptError
from snapshotter.layers import libz

WINDOW: Final = 32 << 10
"""Bytes that a deflate stream may refer back."""
PIECE: Final = 128 << 10
"""Most bytes that one step gives: small enough for a core's cache, and for the allocator to keep
instead of giving it back to the kernel."""

_IsalError = cast("type[Exception]", igzip_lib.IsalError)
_END_OF_BLOCK: Final = 128
_LAST_BLOCK: Final = 64
_UNUSED_BITS: Final = 7
_SLICE: Final = 4 << 10
_LARGEST_SLICE: Final = 64 << 10


class Inflater(Protocol):
    """Inflates one member after another, stepwise, from buffers lent to it."""

    position: int
    """Bytes used of the buffer given last."""
    ended: bool
    """The deflate stream is complete."""

    def reset(self) -> None:
        """Begin another stream."""
        ...

    def give(self, source: bytes, at: int) -> None:
        """Read on from `source[at]`; what was left of the buffer before is forgotten."""
        ...

    def step(self, room: int, *, to_block: bool = False) -> bytes:
        """Return the next bytes, at most `room` (up to `PIECE`); less if input or block end.

        Raises:
            CorruptError: this is not deflate.
        """
        ...


class BlockInflater:
    """An `Inflater` that can stop behind a deflate block and tell how to resume there."""

    def __init__(self) -> None:
        self._library = libz.load()
        self._stream = libz.new_stream()
        self._reference = ctypes.byref(self._stream)
        self._out = (ctypes.c_char * PIECE)()
        self._view = memoryview(self._out).cast("B")
        self._source = b""
        self.position = 0
        self.ended = False
        self.boundary = False
        """The last step stopped behind a block that is not the stream's last."""
        weakref.finalize(self, self._library.inflateEnd, self._reference)

    def reset(self) -> None:
        """Begin another stream."""
        self._library.inflateReset(self._reference)
        self.ended = self.boundary = False

    def give(self, source: bytes, at: int) -> None:
        """Read on from `source[at]`, which is kept alive until the next call."""
        self._source = source
        self.position = at
        address = ctypes.cast(ctypes.c_char_p(source), ctypes.c_void_p).value or 0
        self._stream.next_in = address + at

    def step(self, room: int, *, to_block: bool = False) -> bytes:
        """Return the next bytes; with `to_block`, stop behind the block at the latest."""
        stream = self._stream
        given = min(len(self._source) - self.position, 1 << 30)
        stream.avail_in = given
        stream.next_out = ctypes.addressof(self._out)
        stream.avail_out = room
        flush = libz.Z_BLOCK if to_block else libz.Z_NO_FLUSH
        status = self._library.inflate(self._reference, flush)
        if status not in (libz.Z_OK, libz.Z_STREAM_END, libz.Z_BUF_ERROR):
            reason = stream.msg.decode() if stream.msg else f"status {status}"
            raise CorruptError(f"deflate stream is damaged: {reason}")
        self.position += given - stream.avail_in
        self.ended = status == libz.Z_STREAM_END
        at_end_of_block = stream.data_type & (_END_OF_BLOCK | _LAST_BLOCK) == _END_OF_BLOCK
        self.boundary = to_block and at_end_of_block
        return bytes(self._view[: room - stream.avail_out])

    @property
    def unused_bits(self) -> int:
        """At a boundary: bits of the last byte used that belong to the next block (0 to 7)."""
        return int(self._stream.data_type & _UNUSED_BITS)

    def window(self) -> bytes:
        """Return up to 32 KiB that were inflated last."""
        buffer = ctypes.create_string_buffer(WINDOW)
        length = ctypes.c_uint(0)
        self._library.inflateGetDictionary(self._reference, buffer, ctypes.byref(length))
        return buffer.raw[: length.value]


class StreamInflater:
    """An `Inflater` for those who want the bytes only. It never stops at blocks."""

    def __init__(self) -> None:
        self._source = b""
        self._given = 0
        self._slice = 0
        self.position = 0
        self.reset()

    def reset(self) -> None:
        """Begin another stream."""
        self._engine = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        self._slice = _SLICE
        self.ended = False

    def give(self, source: bytes, at: int) -> None:
        """Read on from `source[at]`."""
        self._source = source
        self.position = self._given = at

    def step(self, room: int, *, to_block: bool = False) -> bytes:
        """Return the next bytes.

        The engine copies what it leaves of its input: slices grow, for the sake of small members.
        """
        piece = b""
        if self._engine.needs_input:
            piece = self._source[self._given : self._given + self._slice]
            self._given += len(piece)
            self._slice = min(2 * self._slice, _LARGEST_SLICE)
        try:
            data: bytes = self._engine.decompress(piece, room)
        except _IsalError as error:
            raise CorruptError(f"deflate stream is damaged: {error}") from error
        self.ended = self._engine.eof
        self.position = self._given - (len(self._engine.unused_data) if self.ended else 0)
        return data


def _lead_ins() -> tuple[tuple[bytes, int], ...]:
    """Return for 0 to 7 odd bits: deflate that says nothing, as (whole bytes, odd bits behind).

    ISA-L cannot start inside a byte, and a stored block would not survive shifting the stream. So
    the bits of the first byte that belong to the block before are overwritten with the end of
    empty blocks put in front: of fixed codes (10 bits) for an even number, and one of dynamic codes
    (91 bits) for an odd one.
    """
    fixed, fixed_bits = 0b0000000_01_0, 10
    # Fields from the first bit on, value and width: not the last, dynamic codes; 257 literals and
    # lengths, 1 distance, 18 code lengths, of which the third (for 18) and the last (for 1) are 1
    # bit; two runs of 138 and 117 zeros, then the three codes of 1 bit; end of block.
    fields = [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4), (0, 6), (1, 3), (0, 42), (1, 3)]
    fields += [(1, 1), (138 - 11, 7), (1, 1), (117 - 11, 7), (0, 3), (1, 1)]
    dynamic, dynamic_bits = 0, 0
    for value, width in fields:
        dynamic |= value << dynamic_bits
        dynamic_bits += width
    found = []
    for bits in range(8):
        stream, length = (dynamic, dynamic_bits) if bits % 2 else (0, 0)
        while length % 8 != bits:
            stream |= fixed << length
            length += fixed_bits
        octets = stream.to_bytes(length // 8 + 1, "little")
        found.append((octets[:-1], octets[-1]))
    return tuple(found)


_LEAD_IN: Final = _lead_ins()


def entered(compressed: bytes | memoryview, bits: int) -> bytes | memoryview:
    """Return a deflate stream that begins with a block starting `bits` bits into `compressed`.

    Raises:
        CorruptError: more than 7 bits.
    """
    if not bits or not len(compressed):
        return compressed
    if bits > 7:
        raise CorruptError(f"deflate block {bits} bits into its first byte")
    whole, odd = _LEAD_IN[bits]
    first = compressed[0] >> bits << bits | odd
    return b"".join((whole, bytes((first,)), memoryview(compressed)[1:]))


def inflate_span(
    compressed: bytes | memoryview, bits: int, window: bytes, length: int
) -> tuple[bytes, int]:
    """Inflate `length` bytes from a block boundary; return them and how many input bytes follow.

    `bits` (0 to 7) of the first byte of `compressed` belong to the block before. The result is
    shorter if the input or the stream ends first; the second value is -1 unless the stream ended.

    Raises:
        CorruptError: this is not deflate, or it refers to bytes before the window.
    """
    if not length:
        return b"", -1
    engine = isal_zlib.decompressobj(-15, zdict=window) if window else isal_zlib.decompressobj(-15)
    try:
        data: bytes = engine.decompress(entered(compressed, bits), length)
    except _IsalError as error:
        raise CorruptError(f"deflate stream is damaged: {error}") from error
    return data, len(engine.unused_data) if engine.eof else -1
