"""The hashes of the data area that packs make, for its Merkle root (`bootseer.merkle`).

In the data area every file begins on a 4 KiB boundary (`docs/formats/dependency-snapshot.md`), so
files are hashed one by one, by whoever packs them, and put together afterwards.

Race-free: nothing is shared; each pack has an `AreaPart` of its own.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

from bootseer.merkle import BLOCK, MerkleTree, hash_blocks
from depsnap.tree.entries import Entry, Kind

Hashes: TypeAlias = list[bytes | int]
"""Hashes of blocks, one behind the other; a number stands for so many blocks of zeros: holes may be
of any size."""
_ZEROS: Final = bytes(BLOCK)


class AreaPart:
    """Takes the files of one pack in their order."""

    def __init__(self) -> None:
        self.hashes: Hashes = []
        self._rest = b""
        """What is not a whole block yet."""

    def add(self, data: bytes) -> None:
        """Add what comes next in a file."""
        if self._rest:
            missing = BLOCK - len(self._rest)
            self._rest += data[:missing]
            if len(self._rest) < BLOCK:
                return
            self.hashes.append(hash_blocks(self._rest))
            data = data[missing:]
        whole = len(data) - len(data) % BLOCK
        if whole:
            self.hashes.append(hash_blocks(memoryview(data)[:whole]))
        self._rest = data[whole:]

    def add_hole(self, length: int) -> None:
        """Add zeros."""
        if self._rest:
            short = min(length, BLOCK - len(self._rest))
            self.add(_ZEROS[:short])
            length -= short
        if blocks := length // BLOCK:
            self.hashes.append(blocks)
        self.add(_ZEROS[: length % BLOCK])

    def end_file(self) -> None:
        """End a file: what is left of its last block is zeros."""
        if self._rest:
            self.hashes.append(hash_blocks(self._rest))
            self._rest = b""


def root_of(parts: Iterable[Hashes], entries: Iterable[Entry]) -> str:
    """Return the root of a data area, hexadecimal.

    `parts` are of all packs, in their order; of the entries those that are nothing but a hole
    follow.
    """
    tree = MerkleTree()
    for part in parts:
        for hashes in part:
            if isinstance(hashes, int):
                tree.add_zeros(hashes * BLOCK)
            else:
                tree.add_hashes(hashes)
    for entry in entries:
        if entry.kind is Kind.FILE and entry.size and not entry.stored:
            tree.add_zeros(-(-entry.size // BLOCK) * BLOCK)
    return tree.root().hex()
