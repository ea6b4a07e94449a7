"""Which renames put a change into place. Pure: what is there is asked through `Look`.

New things first, then what replaces something, then modes of directories; removals last, so that
nothing is missing that something old may still need. A directory that is there already is never
moved: what is in it is, one by one, down to where whole new subtrees begin.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bootseer.errors import HostError
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, key_behind, parent, sort_key


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path now."""

    directory: bool
    """A directory itself, not a link to one."""
    mode: int = 0
    uid: int = 0
    gid: int = 0


class Look(Protocol):
    """How a plan sees the file system."""

    def at(self, path: str) -> Found | None:
        """Return what is at a path; None if there is nothing."""
        ...

    def names(self, path: str) -> Sequence[str]:
        """Return the names in a directory."""
        ...


class Act(StrEnum):
    """What a step does."""

    PLACE = "place"
    """Move what is ready to its path; what was there is kept until the end."""
    MODE = "mode"
    """Give a directory another mode and owner."""
    REMOVE = "remove"
    """Take away what is at a path."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Mode and owner of a directory."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. Doing it twice is doing it once."""

    act: Act
    path: str
    before: Owner | None = None
    """Of `MODE`."""
    after: Owner | None = None


def plan(entries: Sequence[Entry], look: Look) -> list[Step]:
    """Return the steps that make these entries true, in the order in which to do them.

    Entries are sorted; those below a new directory are not looked at.

    Raises:
        HostError: something else is where a directory has to be.
    """
    new: list[Step] = []
    over: list[Step] = []
    modes: list[Step] = []
    gone: list[Step] = []
    row = 0
    while row < len(entries):
        entry, row = entries[row], row + 1
        there = look.at(entry.path)
        if entry.kind in DIRECTORIES:
            if there is not None and there.directory:
                modes += _mode(entry, there)
                if entry.kind is Kind.REPLACED:
                    keep = _children(entries, entry.path)
                    gone += [
                        Step(Act.REMOVE, f"{entry.path}/{name}")
                        for name in look.names(entry.path)
                        if name not in keep
                    ]
                continue
            if there is not None and entry.kind in (Kind.KEPT, Kind.CHANGED):
                raise HostError(f"/{entry.path} is no directory here")
            row = _end_of(entries, entry.path, row)
        if entry.kind is Kind.DELETED:
            gone += [Step(Act.REMOVE, entry.path)] if there else []
        else:
            (over if there else new).append(Step(Act.PLACE, entry.path))
    return [*new, *over, *modes, *gone]


def _end_of(entries: Sequence[Entry], directory: str, row: int) -> int:
    """Return the row of the first entry from `row` on that is not below a directory."""
    end = key_behind(directory)
    return bisect_left(entries, end, row, key=lambda entry: sort_key(entry.path))


def _mode(entry: Entry, there: Found) -> list[Step]:
    before = Owner(there.mode, there.uid, there.gid)
    after = Owner(entry.mode, entry.uid, entry.gid)
    changes = entry.kind in (Kind.CHANGED, Kind.REPLACED) and before != after
    return [Step(Act.MODE, entry.path, before, after)] if changes else []


def _children(entries: Sequence[Entry], directory: str) -> set[str]:
    """Return the names that a directory will have. Rarely asked for."""
    return {
        entry.path.rpartition("/")[2]
        for entry in entries
        if entry.kind is not Kind.DELETED and parent(entry.path) == directory
    }
