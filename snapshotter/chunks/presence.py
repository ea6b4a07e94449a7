"""Which chunks of a layer are at hand: in memory, and as a file. Pure.

File format (little-endian), at most one page for a layer of 32,000 chunks::

    4s magic "BSCM" | u16 version | u16 flags | u32 chunks | 32s key | bits, LSB first | u32 crc32

*key* is the SHA-256 of the index that the chunks are numbered by: presence that was written for
another index says nothing. *flags*: bit 0, the whole layer was checked against its digest.
"""

import struct
import zlib
from typing import Final

import numpy as np

from bootseer.errors import CorruptError

_HEADER: Final = struct.Struct("<4sHHI32s")
_MAGIC: Final = b"BSCM"
_VERSION: Final = 1
_AUDITED: Final = 1


class Presence:
    """One byte a chunk, 1 where its data is in the cache file (a byte: `find` is a C loop)."""

    __slots__ = ("_flags", "audited", "missing")

    def __init__(self, chunks: int) -> None:
        self._flags = bytearray(chunks)
        self.missing = chunks
        """Chunks that are not at hand (a count)."""
        self.audited = False
        """The whole layer was checked against its digest in the image manifest."""

    def __len__(self) -> int:
        """Return the number of chunks of the layer."""
        return len(self._flags)

    def __contains__(self, chunk: int) -> bool:
        """Say whether the chunk is at hand."""
        return self._flags[chunk] == 1

    def add(self, chunk: int) -> None:
        """Note that the chunk is at hand."""
        if not self._flags[chunk]:
            self._flags[chunk] = 1
            self.missing -= 1

    def discard(self, chunk: int) -> None:
        """Note that the chunk is not at hand any more."""
        if self._flags[chunk]:
            self._flags[chunk] = 0
            self.missing += 1

    def fill(self) -> None:
        """Note that every chunk is at hand."""
        self._flags[:] = b"\x01" * len(self._flags)
        self.missing = 0

    def first_missing(self, low: int, high: int) -> int:
        """Return the first chunk of `[low, high)` that is not at hand, or -1."""
        return self._flags.find(0, low, high)

    def missing_runs(self, low: int, high: int) -> list[range]:
        """Return the runs of chunks of `[low, high)` that are not at hand."""
        runs = []
        while (start := self._flags.find(0, low, high)) >= 0:
            end = self._flags.find(1, start, high)
            low = end if end >= 0 else high
            runs.append(range(start, low))
        return runs

    def copy(self) -> bytes:
        """Return one byte a chunk, 1 where it is at hand."""
        return bytes(self._flags)

    def encode(self, key: bytes) -> bytes:
        """Return the file's bytes. `key` is the 32-byte SHA-256 of the index."""
        bits = np.packbits(np.frombuffer(self._flags, np.uint8), bitorder="little").tobytes()
        flags = _AUDITED if self.audited else 0
        body = _HEADER.pack(_MAGIC, _VERSION, flags, len(self._flags), key) + bits
        return body + zlib.crc32(body).to_bytes(4, "little")


def decode(data: bytes, key: bytes, chunks: int) -> Presence:
    """Parse a presence file that was written for the index `key` with `chunks` chunks.

    Raises:
        CorruptError: torn, of another version, or of another index.
    """
    size = _HEADER.size + (chunks + 7) // 8 + 4
    if len(data) != size:
        raise CorruptError(f"presence file: {len(data)} bytes, {size} expected")
    magic, version, flags, count, found = _HEADER.unpack_from(data)
    if (magic, version) != (_MAGIC, _VERSION):
        raise CorruptError("presence file: not one, or of another version")
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise CorruptError("presence file: torn write (checksum)")
    if (count, found) != (chunks, key):
        raise CorruptError("presence file: written for another index")
    presence = Presence(chunks)
    bits = np.frombuffer(data, np.uint8, offset=_HEADER.size, count=(chunks + 7) // 8)
    presence._flags[:] = np.unpackbits(bits, bitorder="little", count=chunks).tobytes()
    presence.missing = presence._flags.count(0)
    presence.audited = bool(flags & _AUDITED)
    return presence
