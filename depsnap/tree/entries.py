"""What an install step changed, as records.

Paths are absolute without the slash in front, as the file system's own bytes
(`os.fsdecode`); the root directory itself has no entry.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple


class Kind(enum.StrEnum):
    """What an entry is; the value stands in the tree's file."""

    __hash__ = str.__hash__  # an enumeration's own is Python, and asked for each of many entries

    FILE = "f"
    SYMLINK = "l"
    HARDLINK = "h"
    """Another name of the file `target`, which is in the same snapshot."""
    DELETED = "x"
    """Something was there, and is no more."""
    KEPT = "k"
    """A directory that was there before and is as it was, but for what is in it."""
    CHANGED = "c"
    """A directory that was there before and got another mode, owner or attributes."""
    NEW = "n"
    """A directory that was not there before."""
    REPLACED = "o"
    """A directory in place of an earlier one: of that one nothing stays."""


DIRECTORIES: Final = frozenset({Kind.KEPT, Kind.CHANGED, Kind.NEW, Kind.REPLACED})


class Entry(NamedTuple):
    """One name that a snapshot says something of. A tuple: there are tens of thousands."""

    path: str
    kind: Kind
    mode: int = 0
    """Permissions with set-user-ID, set-group-ID and sticky bits."""
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    """Bytes of a file, holes included."""
    pack: int = -1
    """Row of the pack with the contents; -1: there are none."""
    stamp: int = -1
    """Of compiled Python: time of its source in seconds, in the file at bytes 8 to 11; packs hold
    zeros there, so that a second install of the same package gives the same pack. -1: as stored."""
    target: str = ""
    """Of a symlink or a hard link."""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    extents: tuple[tuple[int, int], ...] | None = None
    """Where a sparse file has data, as (offset, length); None: everywhere."""

    @property
    def stored(self) -> int:
        """Bytes of the contents as the pack holds them."""
        if self.extents is None:
            return self.size
        return sum(length for _, length in self.extents)


class Frame(NamedTuple):
    """One zstd frame of a pack."""

    stored: int
    """Bytes in the pack."""
    raw: int
    """Bytes of contents."""
    digest: str
    """SHA-256 of the stored bytes, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Contents of files, in one object of the store."""

    digest: str
    """SHA-256 of the object, hexadecimal."""
    title: str
    """Whose contents, for people: `numpy 1.26.4`."""
    single: bool
    """Whether it is the contents of one file, which entries may share. Otherwise it holds those of
    the entries that name it, in their order, and none of them lies in two frames."""
    frames: tuple[Frame, ...]

    @property
    def stored(self) -> int:
        """Bytes of the object."""
        return sum(frame.stored for frame in self.frames)

    @property
    def raw(self) -> int:
        """Bytes of contents."""
        return sum(frame.raw for frame in self.frames)


@dataclass(frozen=True, slots=True)
class Tree:
    """All entries, parents before children and sorted, and the packs with their contents."""

    entries: Sequence[Entry]
    packs: Sequence[Pack]
    root: str = ""
    """Merkle root of the data area that they make (`bootseer.merkle`), hexadecimal; empty: nobody
    has computed it."""


def sort_key(path: str) -> str:
    """Return what to sort paths by, so that a directory is followed by what is in it."""
    return path.replace("/", "\0")


def key_behind(directory: str) -> str:
    """Return what sorts, by `sort_key`, behind a directory and all in it, before all else."""
    return f"{sort_key(directory)}\1"


def parent(path: str) -> str:
    """Return the directory that a path is in; empty for the root."""
    return path.rpartition("/")[0]


def lies_in(path: str, root: str) -> bool:
    """Say whether a path is a root or below it; the empty root holds everything."""
    return not root or path == root or path.startswith(f"{root}/")


def prefixes(directories: Iterable[str]) -> tuple[str, ...]:
    """Return what paths below these directories begin with, with a slash behind each."""
    return tuple(f"{directory}/" for directory in directories)


def lie_in(entries: Iterable[Entry], roots: Iterable[str]) -> list[Entry]:
    """Return the entries that are a root or below one; there are too many to ask of each."""
    exact = frozenset(roots)
    below = prefixes(exact)
    if "" in exact:
        return list(entries)
    return [one for one in entries if one.path.startswith(below) or one.path in exact]
