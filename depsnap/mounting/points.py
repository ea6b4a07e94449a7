"""Which directories of a snapshot are covered by a mount, and what is left to be unpacked. Pure.

A mount is worth it for a large tree. What is small, or lies in directories that programs write to
or that are mixed from many sources (`/etc`, `/var`), is a few files: they are unpacked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from depsnap.tree.entries import DIRECTORIES, Entry, Kind, Tree, lies_in

_ENTRIES: Final = 64
"""Names from which on a tree is worth a mount."""
_BYTES: Final = 4 << 20
"""Bytes of files from which on it is."""
_NEVER: Final = ("etc", "dev", "proc", "sys")
"""Directories at the top that are never covered, nor anything in them."""
_MIXED: Final = (*_NEVER, "var", "tmp", "run", "boot")
"""Likewise, if the root directory itself is what the snapshot is of."""


@dataclass(frozen=True, slots=True)
class Parted:
    """A snapshot in two parts. Paths are those of entries."""

    points: tuple[str, ...]
    """Directories that are covered by a mount; none inside another."""
    loose: int
    """Entries outside of them that something is to be done for."""


def parted(tree: Tree, roots: Sequence[str]) -> Parted:
    """Say what is mounted and what is unpacked; `roots` are absolute paths.

    The root directory itself cannot be covered for who is in it: then what is large right below
    it is.
    """
    tops = [root.strip("/") for root in roots]
    left_out: tuple[str, ...] = _NEVER
    if tops == [""]:
        tops = [entry.path for entry in tree.entries if "/" not in entry.path]
        left_out = _MIXED
    there = {entry.path for entry in tree.entries if _can_be_covered(entry)}
    points = tuple(
        top
        for top in tops
        if top in there and top.partition("/")[0] not in left_out and _is_large(tree, top)
    )
    return Parted(points, sum(1 for entry in tree.entries if is_loose(entry, points)))


def is_loose(entry: Entry, points: Sequence[str]) -> bool:
    """Say whether something is to be done for an entry besides the mounts."""
    return entry.kind is not Kind.KEPT and not any(lies_in(entry.path, point) for point in points)


def _can_be_covered(entry: Entry) -> bool:
    """Say whether it is a directory that is there already: something to mount on."""
    return entry.kind in DIRECTORIES - {Kind.NEW, Kind.REPLACED}


def _is_large(tree: Tree, top: str) -> bool:
    inside = [entry for entry in tree.entries if lies_in(entry.path, top)]
    return len(inside) >= _ENTRIES or sum(entry.size for entry in inside) >= _BYTES
