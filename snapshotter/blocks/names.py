"""Layer and index -> short name; block file <-> name <-> inode number. Pure.

A served layer's directory, block file and inode are all named by 12 hex digits of a hash over the
layer's digest and its index': short, because overlayfs' lowerdir option must fit into a page;
derived, because a server that takes over must find the same inode numbers; over both, because
what one image's index says of a layer must never be what another image's containers read. 48 bits
do not exclude that two pairs share a name: whoever opens a layer's directory compares the whole
digests and refuses the second.

A layer has one block file for its data area, and more of them with a number: hot areas, and the
data area once more for each recording, so that what the page cache holds of one is not missed in
the other.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, NewType

LayerName = NewType("LayerName", str)
Inode = NewType("Inode", int)

LOCAL: Final = "local"
"""In the place of an index digest: the node derived the index from the layer itself."""
ROOT_INODE: Final = Inode(1)
_FIRST: Final = 2
_DIGITS: Final = 12
_NAME: Final = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def name_of(layer_digest: str, index_digest: str) -> LayerName:
    """Return the short name of a layer as one index describes it.

    Args:
        layer_digest: `sha256:` and 64 hex digits, as the image manifest has it.
        index_digest: likewise, of the index file; `LOCAL` for an index made on this node.

    Raises:
        ValueError: not a digest.
    """
    for digest in (layer_digest, index_digest):
        if digest != LOCAL and not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a sha256 digest: {digest!r}")
    pair = f"{layer_digest}\n{index_digest}".encode()
    return LayerName(hashlib.sha256(pair).hexdigest()[:_DIGITS])


def parse_name(text: str) -> LayerName | None:
    """Return `text` as a layer name if it has the form of one."""
    return LayerName(text) if _NAME.fullmatch(text) else None


class Role(IntEnum):
    """What a block file shows of its layer."""

    DATA = 0
    """The data area."""
    HOT = 1
    """The hot area with a number (see `snapshotter.starts.area`)."""
    RECORD = 2
    """The data area, read by the container whose start is recorded under a number."""


_LETTERS: Final = {Role.DATA: "", Role.HOT: "h", Role.RECORD: "r"}
_ROLES: Final = {letter: role for role, letter in _LETTERS.items()}
_NUMBER_BITS: Final = 14
MOST_NUMBER: Final = (1 << _NUMBER_BITS) - 2
"""Largest number of a hot area or a recording: with one more, the last names would reach bit 63."""
_BLOCK_NAME: Final = re.compile(rf"([0-9a-f]{{{_DIGITS}}})(?:([hr])([1-9][0-9]{{0,4}}))?")
_NUMBER_AT: Final = 4 * _DIGITS
_RECORD_BIT: Final = 1 << _NUMBER_BITS
"""Above the layer's 48 bits: the number, with this bit for a recording. Bit 63 is never set."""
LEAST_RECORD: Final = (_RECORD_BIT << _NUMBER_AT) + _FIRST
"""No inode number of a recording's block file is less, and all others are."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Which of a layer's block files."""

    role: Role = Role.DATA
    number: int = 0
    """1 to `MOST_NUMBER`; 0 for the data area."""

    def __str__(self) -> str:
        """Return the text form: empty for the data area, otherwise like `h1`."""
        return f"{_LETTERS[self.role]}{self.number}" if self.role else ""


NATURAL: Final = Variant()


@dataclass(frozen=True, slots=True)
class BlockName:
    """A block file. Text form: that of the layer, then that of the variant."""

    layer: LayerName
    variant: Variant = NATURAL

    def __str__(self) -> str:
        """Return the text form."""
        return f"{self.layer}{self.variant}"

    @classmethod
    def parse(cls, text: str) -> "BlockName | None":
        """Return what a text form names; None if it is none."""
        match = _BLOCK_NAME.fullmatch(text)
        if match is None:
            return None
        layer, letter, number = match.groups("")
        if int(number or 0) > MOST_NUMBER:
            return None
        return cls(LayerName(layer), Variant(_ROLES[letter], int(number or 0)))

    @property
    def inode(self) -> Inode:
        """The inode number of the file."""
        code = self.variant.number | (_RECORD_BIT if self.variant.role is Role.RECORD else 0)
        return Inode((code << _NUMBER_AT | int(self.layer, 16)) + _FIRST)

    @classmethod
    @lru_cache(maxsize=4096)  # asked for every read
    def at(cls, inode: int) -> "BlockName | None":
        """Return the block file whose inode number this is, if it can be one."""
        value = inode - _FIRST
        code = value >> _NUMBER_AT
        number = code & (_RECORD_BIT - 1)
        if value < 0 or code >= 2 * _RECORD_BIT or number > MOST_NUMBER or (code and not number):
            return None
        layer = LayerName(f"{value & ((1 << _NUMBER_AT) - 1):0{_DIGITS}x}")
        role = Role.RECORD if code & _RECORD_BIT else Role.HOT
        return cls(layer, Variant(role, number) if number else NATURAL)
