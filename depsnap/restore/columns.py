"""A tree's entries in columns, as a node keeps them for itself beside a kept tree.

Reading the tree itself makes and checks tens of thousands of records, which takes longer than all
the links. Here a record is made of the few entries that somebody looks at. Which packs they are of
is not kept. The file is this node's own: it was made from a tree that was checked.
"""

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias, overload

from bootseer.errors import CorruptError
from depsnap.restore.rewriting import is_shared, may_share
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, parent
from depsnap.tree.table import KINDS

_VERSION: Final = 1
_DIRECTORIES: Final = frozenset(kind.value for kind in DIRECTORIES)
TOP: Final = -1
"""In place of a row: the root directory, which is no entry."""

Rare: TypeAlias = tuple[str, tuple[tuple[str, bytes], ...], tuple[tuple[int, int], ...] | None]
"""What few entries have: target, attributes, extents."""
_USUAL: Final[Rare] = ("", (), None)


@dataclass(frozen=True, slots=True)
class Columns(Sequence[Entry]):
    """Entries, each made when it is asked for."""

    paths: Sequence[str]
    kinds: str
    numbers: Sequence[tuple[int, int, int, int, int]]
    """Mode, owner, group, time, size of each."""
    rare: dict[int, Rare]
    """By row."""
    above: Sequence[int]
    """Row of the directory that each is in; `TOP` where that is none of these."""
    shared: bytes
    """Of each whether other environments may share it (1 or 0)."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.paths)

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> list[Entry]: ...
    def __getitem__(self, row: int | slice) -> Entry | list[Entry]:
        """Return an entry, or several."""
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        mode, uid, gid, mtime, size = self.numbers[row]
        target, xattrs, extents = self.rare.get(row, _USUAL)
        kind = KINDS[self.kinds[row]]
        path = self.paths[row]
        return Entry(path, kind, mode, uid, gid, mtime, size, -1, -1, target, xattrs, extents)

    def directories(self) -> list[int]:
        """Return the rows of directories; what is in one follows it."""
        return [row for row, kind in enumerate(self.kinds) if kind in _DIRECTORIES]

    def in_each(self, kind: Kind) -> dict[int, list[int]]:
        """Return the rows of one kind in each directory, by its row."""
        found: dict[int, list[int]] = {}
        for row, (one, above) in enumerate(zip(self.kinds, self.above, strict=True)):
            if one == kind.value:
                found.setdefault(above, []).append(row)
        return found


def columns_of(entries: Sequence[Entry]) -> Columns:
    """Return entries, which are sorted, in columns."""
    rows = {entry.path: row for row, entry in enumerate(entries) if entry.kind in DIRECTORIES}
    above = [rows.get(parent(entry.path), TOP) for entry in entries]
    some = [may_share(entry.path) if entry.kind in DIRECTORIES else False for entry in entries]
    return Columns(
        [entry.path for entry in entries],
        "".join(entry.kind.value for entry in entries),
        [(one.mode, one.uid, one.gid, one.mtime_ns, one.size) for one in entries],
        {row: rare for row, one in enumerate(entries) if (rare := _rare(one)) != _USUAL},
        above,
        bytes(
            holder >= 0 and some[holder] and is_shared(entry.path.rpartition("/")[2])
            for entry, holder in zip(entries, above, strict=True)
        ),
    )


def _rare(entry: Entry) -> Rare:
    return entry.target, entry.xattrs, entry.extents


def encode_columns(columns: Columns) -> bytes:
    """Return the file's bytes: a line of JSON, then the columns."""
    paths = "\0".join(columns.paths).encode("utf-8", "surrogateescape")
    rare = [
        [row, target, [[name, value.hex()] for name, value in xattrs], extents]
        for row, (target, xattrs, extents) in columns.rare.items()
    ]
    described = {"version": _VERSION, "paths": len(paths), "kinds": columns.kinds, "rare": rare}
    return b"".join(
        (
            json.dumps(described).encode(),
            b"\n",
            paths,
            columns.shared,
            array("q", columns.above).tobytes(),
            array("q", chain.from_iterable(columns.numbers)).tobytes(),
        )
    )


def decode_columns(data: bytes) -> Columns:
    """Return the columns in a file of ours. CorruptError if it is none."""
    line, _, rest = data.partition(b"\n")
    try:
        described: dict[str, Any] = json.loads(line)
        if described["version"] != _VERSION:
            raise CorruptError("kept tree: of another version")
        kinds, size = str(described["kinds"]), int(described["paths"])
        count = len(kinds)
        paths = rest[:size].decode("utf-8", "surrogateescape").split("\0") if count else []
        shared = rest[size : size + count]
        numbers = array("q", rest[size + count :])
        if len(paths) != count or len(numbers) != 6 * count or not KINDS.keys() >= set(kinds):
            raise CorruptError("kept tree: columns of different lengths")
        rare = {int(row): _decoded(*others) for row, *others in described["rare"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptError(f"kept tree: {error}") from error
    each = iter(numbers[count:])
    five = list(zip(each, each, each, each, each, strict=True))
    return Columns(paths, kinds, five, rare, numbers[:count], shared)


def _decoded(target: str, xattrs: list[Any], extents: list[Any] | None) -> Rare:
    return (
        str(target),
        tuple((str(name), bytes.fromhex(value)) for name, value in xattrs),
        None if extents is None else tuple((int(at), int(length)) for at, length in extents),
    )
