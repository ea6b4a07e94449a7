"""The fs-verity Merkle tree of a stream: SHA-256, 4 KiB blocks, no salt.

Follows the kernel's fs-verity documentation ("Merkle tree" and "File digest computation"): the
data is hashed block by block; the hashes are packed into blocks (128 of 32 bytes), the last one
filled up with zeros, and hashed again, until one hash is left. One block of data is its own root;
no data at all has a root of zeros.
"""

from hashlib import sha256
from struct import Struct
from typing import Final

BLOCK: Final = 4096
"""Bytes of data that one hash is of."""
_HASH: Final = 32
_ZERO_BLOCK: Final = sha256(bytes(BLOCK)).digest()
_EMPTY_ROOT: Final = bytes(_HASH)

_descriptor: Final = Struct("<BBBBIQ64s32s144s").pack
_VERSION: Final = 1
_SHA256: Final = 1
_LOG_BLOCK: Final = 12


def hash_blocks(data: bytes | bytearray | memoryview) -> bytes:
    """Return the hashes of the 4 KiB blocks of `data`, one behind the other.

    The last block, if it is short, is filled up with zeros.
    """
    view = memoryview(data)
    whole = len(view) - len(view) % BLOCK
    hashes = [sha256(view[at : at + BLOCK]).digest() for at in range(0, whole, BLOCK)]
    if whole < len(view):
        hashes.append(_block_hash(bytes(view[whole:])))
    return b"".join(hashes)


class MerkleTree:
    """Takes blocks in order, keeps one unfinished hash block a level: memory does not grow."""

    def __init__(self) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self._blocks = 0

    @property
    def size(self) -> int:
        """Bytes added so far."""
        return self._blocks * BLOCK

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Add data; its length is a multiple of 4 KiB."""
        self.add_hashes(hash_blocks(data))

    def add_hashes(self, hashes: bytes) -> None:
        """Add data of which the hashes of its blocks are known; see `hash_blocks`."""
        self._blocks += len(hashes) // _HASH
        self._push(0, hashes)

    def add_zeros(self, length: int) -> None:
        """Add `length` zeros, a multiple of 4 KiB; the cost grows with the logarithm."""
        self._blocks += length // BLOCK
        self._repeat(0, _ZERO_BLOCK, length // BLOCK)

    def root(self) -> bytes:
        """Return the root hash of what was added. The tree takes more afterwards."""
        if not self._blocks:
            return _EMPTY_ROOT
        carried = b""
        for level, pending in enumerate(self._levels):
            hashes = bytes(pending) + carried
            if level == len(self._levels) - 1 and len(hashes) == _HASH:
                return hashes
            carried = _block_hash(hashes) if hashes else b""
        return carried

    def _push(self, level: int, hashes: bytes) -> None:
        """Append hashes to a level; what fills whole blocks moves up a level."""
        if level == len(self._levels):
            self._levels.append(bytearray())
        pending = self._levels[level]
        pending += hashes
        whole = len(pending) - len(pending) % BLOCK
        if whole:
            blocks = bytes(pending[:whole])
            del pending[:whole]
            self._push(level + 1, hash_blocks(blocks))

    def _repeat(self, level: int, digest: bytes, count: int) -> None:
        """Append the same hash `count` times, hashing a full block of it only once."""
        per_block = BLOCK // _HASH
        pending = len(self._levels[level]) // _HASH if level < len(self._levels) else 0
        first = min(count, -pending % per_block)
        self._push(level, digest * first)
        blocks, rest = divmod(count - first, per_block)
        if blocks:
            self._repeat(level + 1, sha256(digest * per_block).digest(), blocks)
        self._push(level, digest * rest)


def _block_hash(short: bytes) -> bytes:
    return sha256(short.ljust(BLOCK, b"\0")).digest()


def file_digest(root: bytes, size: int) -> bytes:
    """Return the fs-verity file digest of a file with this Merkle root and size in bytes.

    It is what `fsverity digest` prints and the kernel enforces: SHA-256 of the descriptor.
    """
    return sha256(_descriptor(_VERSION, _SHA256, _LOG_BLOCK, 0, 0, size, root, b"", b"")).digest()
