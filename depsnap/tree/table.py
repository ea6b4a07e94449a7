"""A tree in columns, as its file has it.

There are tens of thousands of entries, and a record of each takes longer than all that a mount
does with them. Who looks at all of them looks at columns; who handles one makes its record. Plain
lists: to load NumPy takes longer than what a restore needs of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import compress, count, repeat
from typing import Any, Final

from bootseer.errors import CorruptError
from depsnap.limits import DEFAULT
from depsnap.tree.entries import Entry, Kind, Pack, Tree

KINDS: Final = {kind.value: kind for kind in Kind}
_USUAL: Final = ("", (), None)
"""Target, attributes and extents of nearly all entries."""


@dataclass(frozen=True)
class Table:
    """All entries in columns, in the order of the tree, and the packs with their contents.

    A directory is followed by what is in it, so names and depths say where everything is.
    """

    names: Sequence[str]
    """The last part of each path."""
    depths: Sequence[int]
    """How many directories of the tree each lies in."""
    kinds: str
    """A character each, the value of its `Kind`."""
    modes: Sequence[int]
    uids: Sequence[int]
    gids: Sequence[int]
    mtimes: Sequence[int]
    """In nanoseconds."""
    sizes: Sequence[int]
    """In bytes."""
    packed: Sequence[int]
    """Row of the pack with the contents, or -1."""
    stamps: Sequence[int]
    """See `Entry.stamp`."""
    targets: dict[int, str]
    """By row, like the next two: of links."""
    xattrs: dict[int, tuple[tuple[str, bytes], ...]]
    extents: dict[int, tuple[tuple[int, int], ...]]
    """Of sparse files."""
    packs: Sequence[Pack]
    root: str = ""
    """See `Tree.root`."""

    @cached_property
    def paths(self) -> list[str]:
        """Path of each; made when somebody asks. Of a tree that is not right they may be any.

        Raises `CorruptError` where they take more than a tree may: they are not bounded by the
        bytes of its file.
        """
        return list(_paths(self.names, self.depths, DEFAULT.tree))

    def stored(self) -> list[int]:
        """Return `Entry.stored` of each."""
        found = list(self.sizes)
        for row, extents in self.extents.items():
            found[row] = sum(length for _, length in extents)
        return found

    def rows_of(self, kinds: Iterable[Kind]) -> list[int]:
        """Return the rows of entries of some kinds, in order."""
        wanted = frozenset(kind.value for kind in kinds)
        return list(compress(range(len(self.kinds)), map(wanted.__contains__, self.kinds)))

    def span(self, path: str) -> range:
        """Return the rows of a directory, or whatever is there, and of all that is in it."""
        row = -1
        for depth, name in enumerate(path.split("/")):
            inside = row + 1
            row = self._find(name, depth, inside)
            if row < 0 or min(self.depths[inside : row + 1]) < depth:
                return range(0)
        ends = map(depth.__ge__, self.depths[row + 1 :])
        return range(row, next(compress(count(row + 1), ends), len(self.names)))

    def _find(self, name: str, depth: int, row: int) -> int:
        """Return the first row, from one on, that has a name at a depth; -1 if none has."""
        with suppress(ValueError):
            while self.depths[row := self.names.index(name, row)] != depth:
                row += 1
            return row
        return -1


def _paths(names: Sequence[str], depths: Sequence[int], most: int) -> Iterator[str]:
    """Yield the paths of names, each with what it is in in front, of `most` characters in all."""
    above = [""]
    at, path = 0, ""
    for name, depth in zip(names, depths, strict=True):
        if depth > at:
            above.append(f"{path}/")
            at += 1
        elif depth < at:
            del above[depth + 1 :]
            at = depth
        path = above[at] + name
        most -= len(path)
        if most < 0:
            raise CorruptError("snapshot tree: its paths are too long")
        yield path


def table_of(tree: Tree) -> Table:
    """Return a tree in columns. If it is not right, its paths may be others than the tree's."""
    entries = tree.entries
    fields: Any = Entry._make(zip(*entries, strict=True) if entries else [()] * len(Entry._fields))
    rows = range(len(entries))
    return Table(
        [path.rpartition("/")[2] for path in fields.path],
        [path.count("/") for path in fields.path],
        "".join(fields.kind),
        fields.mode,
        fields.uid,
        fields.gid,
        fields.mtime_ns,
        fields.size,
        fields.pack,
        fields.stamp,
        {row: value for row, value in zip(rows, fields.target, strict=True) if value},
        {row: value for row, value in zip(rows, fields.xattrs, strict=True) if value},
        {row: value for row, value in zip(rows, fields.extents, strict=True) if value is not None},
        tree.packs,
        tree.root,
    )


def tree_of(table: Table) -> Tree:
    """Return a tree as records."""
    columns = (
        table.paths,
        map(KINDS.__getitem__, table.kinds),
        table.modes,
        table.uids,
        table.gids,
        table.mtimes,
        table.sizes,
        table.packed,
        table.stamps,
    )
    rows = zip(*columns, *map(repeat, _USUAL), strict=False)
    # What `Entry._make` does, less a call of Python's for each of them.
    entries: list[Entry] = list(map(partial(tuple.__new__, Entry), rows))
    for row, target in table.targets.items():
        entries[row] = entries[row]._replace(target=target)
    for row, xattrs in table.xattrs.items():
        entries[row] = entries[row]._replace(xattrs=xattrs)
    for row, extents in table.extents.items():
        entries[row] = entries[row]._replace(extents=extents)
    return Tree(tuple(entries), table.packs, table.root)
