"""Proofs that 4 KiB blocks belong to a data area of which only the Merkle root is known.

The tree is that of fs-verity (see `bootseer.merkle`): level 0 has the hash of every
block; 128 hashes, filled up with zeros, are hashed to one of the level above, until one is left.

A proof for some blocks has, level by level from the bottom: of level 0, all hashes of every group
of 128 in which a block lies; of each level above, the hashes of the groups in which something
proved lies, less those that follow from the level below. The hashes of the blocks themselves are in
it, though they follow from the blocks: so a proof is checked once, before the first block is there,
and every block alone afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from bootseer.errors import CorruptError
from bootseer.merkle import hash_blocks
from snapshotter.layers.records import BLOCK, I64, U8

HASH: Final = 32
GROUP: Final = BLOCK // HASH
_PIECE: Final = 4 << 20
"""Bytes read at once when a data area is hashed."""


@dataclass(frozen=True, slots=True, eq=False)
class HashTree:
    """All hashes of a data area: 0.8 % of its size."""

    levels: tuple[U8, ...]
    """Rows of 32 bytes, the lowest level first; the last has one row. Empty: no data."""

    @property
    def root(self) -> bytes:
        """The root hash; zeros where there is no data."""
        return self.levels[-1].tobytes() if self.levels else bytes(HASH)

    @property
    def blocks(self) -> int:
        """Blocks of the data area."""
        return len(self.levels[0]) if self.levels else 0


def tree_of(leaves: bytes) -> HashTree:
    """Return the tree over the hashes of all blocks."""
    level = _rows(leaves)
    if not len(level):
        return HashTree(())
    levels = [level]
    while len(level) > 1:
        level = _parents(_padded(level))
        levels.append(level)
    return HashTree(tuple(levels))


def tree_of_area(read: Callable[[int, int], bytes], size: int) -> HashTree:
    """Return the tree of a data area of `size` bytes; `read(offset, length)` is called in order."""
    pieces = [hash_blocks(read(at, min(_PIECE, size - at))) for at in range(0, size, _PIECE)]
    return tree_of(b"".join(pieces))


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """One level of a proof."""

    size: int
    """Hashes of this level in the whole tree."""
    known: I64
    """Those that follow from the level below, increasing."""
    groups: I64
    """Groups that are completed, increasing."""
    sent: I64
    """Hashes that the proof has, increasing."""


class ProofPlan:
    """Which hashes prove some blocks. Follows from the numbers alone, on both sides."""

    def __init__(self, data_blocks: int, blocks: I64, most: int) -> None:
        """`blocks` are numbers below `data_blocks`, in any order.

        Raises `CorruptError` when the proof takes more than about `most` bytes.
        """
        self._levels: list[_Level] = []
        self.groups = np.unique(blocks // GROUP)
        if len(self.groups) * BLOCK > most:
            raise CorruptError(
                f"hot blocks in {len(self.groups)} groups of {GROUP}: the hashes that prove them"
                f" take more than {most} bytes"
            )
        known, size = np.zeros(0, dtype=np.int64), data_blocks
        groups = self.groups
        while len(groups):
            members = (groups[:, None] * GROUP + np.arange(GROUP)).reshape(-1)
            sent = np.setdiff1d(members[members < size], known, assume_unique=True)
            self._levels.append(_Level(size, known, groups, sent))
            if size <= GROUP:
                break
            known, size = groups, -(-size // GROUP)
            groups = np.unique(known // GROUP)

    @property
    def size(self) -> int:
        """Bytes of the proof."""
        return HASH * sum(len(level.sent) for level in self._levels)

    def build(self, tree: HashTree) -> bytes:
        """Return the proof."""
        pairs = zip(self._levels, tree.levels, strict=False)
        return b"".join([rows[level.sent].tobytes() for level, rows in pairs])

    def verify(self, proof: bytes | memoryview, root: bytes, what: str) -> "ProvedHashes":
        """Check a proof of `size` bytes against the root. Raises `CorruptError` naming `what`."""
        rows, at = _rows(proof), 0
        below = np.zeros((0, HASH), dtype=np.uint8)
        leaves = rows[: len(self._levels[0].sent)] if self._levels else rows
        for level in self._levels:
            sent = rows[at : at + len(level.sent)]
            at += len(level.sent)
            below = _complete(level, sent, below)
        if self._levels and below.tobytes() != root:
            raise CorruptError(
                f"{what}: its hashes do not lead to the Merkle root of the layer's index",
                hint="it is damaged, hostile or of another index",
            )
        return ProvedHashes(self.groups, leaves)


@dataclass(frozen=True, slots=True, eq=False)
class ProvedHashes:
    """Hashes of blocks that are known to be right."""

    groups: I64
    """Groups of 128 blocks whose hashes are here, increasing."""
    leaves: U8
    """Their hashes, one group behind the other; only the last group may be short."""

    def of(self, blocks: I64) -> bytes:
        """Return the hashes of these blocks, one behind the other; all are in `groups`."""
        rows = np.searchsorted(self.groups, blocks // GROUP) * GROUP + blocks % GROUP
        hashes: U8 = self.leaves[rows]
        return hashes.tobytes()


def _rows(hashes: bytes | memoryview) -> U8:
    return np.frombuffer(hashes, dtype=np.uint8).reshape(-1, HASH)


def _padded(level: U8) -> U8:
    """Return whole groups, filled up with zeros."""
    full = np.zeros((-(-len(level) // GROUP) * GROUP, HASH), dtype=np.uint8)
    full[: len(level)] = level
    return full


def _parents(groups: U8) -> U8:
    return _rows(hash_blocks(groups.reshape(-1).data))


def _complete(level: _Level, sent: U8, known: U8) -> U8:
    """Return the hashes of the level above, or the root."""
    if level.size == 1:
        return sent if len(sent) else known
    slots = np.zeros((len(level.groups) * GROUP, HASH), dtype=np.uint8)
    for numbers, rows in ((level.sent, sent), (level.known, known)):
        slots[np.searchsorted(level.groups, numbers // GROUP) * GROUP + numbers % GROUP] = rows
    return _parents(slots)
