"""Which directories of a snapshot are covered by a mount, and what is left to be unpacked. Pure.

A mount is worth it for a large tree. What is small, or lies in directories that programs write to
or that are mixed from many sources (`/etc`, `/var`), is a few files: they are unpacked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from depsnap.tree.entries import DIRECTORIES, Kind
from depsnap.tree.table import Table

SOURCE: Final = "bootseer-deps-"
"""What the sources of our overlays begin with, as mountinfo shows them."""
_ENTRIES: Final = 64
"""Names from which on a tree is worth a mount."""
_BYTES: Final = 4 << 20
"""Bytes of files from which on it is."""
_NEVER: Final = ("etc", "dev", "proc", "sys")
"""Directories at the top that are never covered, nor anything in them."""
_MIXED: Final = (*_NEVER, "var", "tmp", "run", "boot")
"""Likewise, if the root directory itself is what the snapshot is of."""


_THERE: Final = DIRECTORIES - {Kind.NEW, Kind.REPLACED}


@dataclass(frozen=True, slots=True)
class Parted:
    """A snapshot in two parts. Paths are those of entries."""

    points: tuple[str, ...]
    """Directories that are covered by a mount; none inside another."""
    loose: int
    """Entries outside of them that something is to be done for."""


def parted(table: Table, roots: Sequence[str]) -> Parted:
    """Say what is mounted and what is unpacked; `roots` are absolute paths.

    The root directory itself cannot be covered for who is in it: then what is large right below
    it is.
    """
    tops = [root.strip("/") for root in roots]
    left_out: tuple[str, ...] = _NEVER
    if tops == [""]:
        tops = [table.names[row] for row, depth in enumerate(table.depths) if not depth]
        left_out = _MIXED
    spans = {
        top: span
        for top in tops
        if top.partition("/")[0] not in left_out and _is_worth_it(table, span := table.span(top))
    }
    loose = len(table.kinds) - table.kinds.count(Kind.KEPT)
    for span in spans.values():
        loose -= len(span) - table.kinds.count(Kind.KEPT, span.start, span.stop)
    return Parted(tuple(spans), loose)


def _is_worth_it(table: Table, span: range) -> bool:
    """Say whether a directory is there already, as something to mount on, and its tree large."""
    if not span or table.kinds[span.start] not in _THERE:
        return False
    return len(span) >= _ENTRIES or sum(table.sizes[span.start : span.stop]) >= _BYTES
