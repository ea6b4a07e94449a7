"""Hashes the data area as it comes by: a digest a chunk, the Merkle tree, and a copy for a sink.

File contents are laid out in a buffer that stands for the next piece of the data area, padding
included, because the tree wants whole blocks and files are mostly smaller than a buffer.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from bootseer.merkle import MerkleTree
from snapshotter.layers.records import BLOCK

Sink = Callable[[int, bytes | memoryview], None]

if TYPE_CHECKING:
    from hashlib import _Hash

_BUFFER: Final = 256 << 10
_ZEROS: Final = bytes(1 << 20)


class ContentHasher:
    """Takes the data area in order. Chunks end where `cut` is called."""

    def __init__(self, sink: Sink | None = None) -> None:
        """`sink(offset, data)` is lent `data` for the call; what it is not given is zero."""
        self._sink = sink
        self._tree = MerkleTree()
        self._buffer = memoryview(bytearray(_BUFFER))
        self._base = 0  # offset of the buffer in the data area, a multiple of BLOCK
        self._chunk = sha256()
        self._hashed = 0  # up to where the chunk has been hashed
        self.position = 0
        """Offset in the data area of what comes next."""
        self.start = 0
        """Where the chunk starts."""
        self.digests = bytearray()
        """Of the chunks that have ended, 32 bytes each."""

    def write(self, content: memoryview) -> None:
        """Append bytes of a file."""
        at = 0
        while at < len(content):
            used = self.position - self._base
            taken = min(len(content) - at, _BUFFER - used)
            self._buffer[used : used + taken] = content[at : at + taken]
            at += taken
            self.position += taken
            if used + taken == _BUFFER:
                self._flush()

    def zeros(self, length: int) -> None:
        """Append zeros: padding, or a hole. Whole blocks of them do not reach the sink."""
        end = self.position + length
        self._pad(min(end, -(-self.position // BLOCK) * BLOCK))
        whole = (end - self.position) // BLOCK * BLOCK
        if whole:
            self._flush()
            self._hash_zeros(whole)
            self._tree.add_zeros(whole)
            self._base = self._hashed = self.position = self.position + whole
        self._pad(end)

    def cut(self) -> None:
        """End the chunk here and start the next."""
        self._hash()
        self.digests += self._chunk.digest()
        self._chunk = sha256()
        self.start = self.position

    def finish(self) -> bytes:
        """Return the Merkle root. The data area must end on a block's end."""
        self._flush()
        return self._tree.root()

    def _pad(self, end: int) -> None:
        """Fill with zeros up to `end`, less than a block away."""
        used, length = self.position - self._base, end - self.position
        self._buffer[used : used + length] = _ZEROS[:length]
        self.position = end
        if used + length == _BUFFER:
            self._flush()

    def _hash(self) -> None:
        self._chunk.update(self._buffer[self._hashed - self._base : self.position - self._base])
        self._hashed = self.position

    def _hash_zeros(self, length: int) -> None:
        if self.position == self.start:
            self._chunk = _hash_of_zeros(length).copy()
            return
        for at in range(0, length, len(_ZEROS)):
            self._chunk.update(_ZEROS[: length - at])

    def _flush(self) -> None:
        """Pass on the whole blocks in the buffer; only those, so that what is left starts one."""
        self._hash()
        length = (self.position - self._base) // BLOCK * BLOCK
        if not length:
            return
        whole = self._buffer[:length]
        self._tree.add(whole)
        if self._sink:
            self._sink(self._base, whole)
        rest = self.position - self._base - length
        self._buffer[:rest] = self._buffer[length : length + rest]
        self._base += length


@lru_cache(maxsize=4)
def _hash_of_zeros(length: int) -> "_Hash":
    """Remember it: a large hole is a row of equal chunks."""
    digest = sha256()
    for at in range(0, length, len(_ZEROS)):
        digest.update(_ZEROS[: length - at])
    return digest
