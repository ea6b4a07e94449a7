"""A tree made from one that lies on this node already: clones, links or copies of its files.

Where the file system shares blocks between files (reflinks), every file becomes one of its own that
way. Elsewhere what may be shared is linked, and all else copied. Work is shared out in subtrees: a
process makes a directory, what is in it and below it, and gives it its time; nobody else touches it
meanwhile. Directories that are too large for that are made before and finished afterwards.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Final

from bootseer.errors import BootseerError
from depsnap.pool import by_size, ignore, shared_out
from depsnap.restore.columns import TOP, Columns
from depsnap.restore.making import (
    Destination,
    dress,
    exact_modes,
    finish_directories,
    make_directories,
    make_links,
)
from depsnap.tree.entries import Entry, Kind

_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_CLONE: Final = 0x40049409
"""FICLONE of ioctl(2)."""
_UNITS: Final = 8
"""Units of work for each process, at least: none should wait long for the last."""

_WORTH_SHARING: Final = 1_000
"""Files and directories from which on starting processes takes less time than it saves."""


class EditedError(BootseerError):
    """Somebody changed a file of the tree that is there."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the tree lies."""

    place: Callable[[str], str]
    """From a path to where it is."""
    fresh: bool = False
    """It was made just now: nobody can have changed it, and what is made of it is to be kept. So
    everything is linked, and directories stay as they are made."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Some directories, by their numbers: one with all below it, or one alone."""

    first: int
    end: int
    alone: bool
    """Only the files in it: others have to do with the directory itself."""


def make_from(
    source: Source,
    columns: Columns,
    to: Destination,
    workers: int,
    more: Callable[[int], None] = ignore,
) -> None:
    """Make everything in a tree but its deletions. `more` hears of bytes that are there.

    Raises:
        EditedError: a file is not as the tree says.
        OSError: something is missing, or cannot be made.
    """
    rows = columns.directories()
    files, symlinks = columns.in_each(Kind.FILE), columns.in_each(Kind.SYMLINK)
    weights = [1 + len(files.get(row, ())) for row in rows]
    workers = workers if sum(weights) >= _WORTH_SHARING else 1
    apart, units = parted([columns.paths[row] for row in rows], weights, workers * _UNITS)
    work = _Work(columns, source, to, rows, files, symlinks)
    shared = [columns[rows[number]] for number in apart]
    news = None if more is ignore else by_size([work.size(unit) for unit in units], more)
    with exact_modes():
        make_directories(shared, to)
        _Maker(work).top()
        shared_out(partial(_making, work), units, workers, news)
        links = columns.in_each(Kind.HARDLINK)
        make_links([columns[row] for some in links.values() for row in some], to)
        changed = {columns.paths[row] for row in links if row >= 0}
        changed -= {entry.path for entry in shared}
        again = [columns[row] for row in rows if columns.paths[row] in changed] if changed else []
        work.finish([*shared, *again])


def parted(
    paths: Sequence[str], weights: Sequence[int], pieces: int
) -> tuple[list[int], list[Unit]]:
    """Return the numbers of directories that are made before, and units of about equal work. Pure.

    `paths` are such that a directory is followed by all below it.
    """
    ends = _ends(paths)
    sums = list(accumulate(weights, initial=0))
    limit = max(1, sums[-1] // max(1, pieces))
    apart: list[int] = []
    units: list[Unit] = []
    number = 0
    while number < len(paths):
        end = ends[number]
        if end == number + 1 or sums[end] - sums[number] <= limit:
            units.append(Unit(number, end, alone=False))
            number = end
        else:
            apart.append(number)
            units.append(Unit(number, number + 1, alone=True))
            number += 1
    return apart, units


def _ends(paths: Sequence[str]) -> list[int]:
    """Return for each directory the number of the first that is not below it."""
    ends = [len(paths)] * len(paths)
    open_: list[int] = []
    for number, path in enumerate(paths):
        while open_ and not path.startswith(f"{paths[open_[-1]]}/"):
            ends[open_.pop()] = number
        open_.append(number)
    return ends


@dataclass(frozen=True, slots=True)
class _Work:
    """What all processes know."""

    columns: Columns
    source: Source
    to: Destination
    rows: Sequence[int]
    """Of the directories."""
    files: dict[int, list[int]]
    symlinks: dict[int, list[int]]

    def finish(self, directories: Sequence[Entry]) -> None:
        """Give directories what they are to have, once nothing more is put into them."""
        if not self.source.fresh:
            finish_directories(directories, self.to)

    def size(self, unit: Unit) -> int:
        """Return the bytes of files in a unit."""
        numbers = self.columns.numbers
        return sum(
            numbers[row][4]
            for directory in self.rows[unit.first : unit.end]
            for row in self.files.get(directory, ())
        )


@contextlib.contextmanager
def _making(work: _Work) -> Iterator[Callable[[Unit], None]]:
    yield _Maker(work).unit


class _Maker:
    """Makes units, one after the other, in one process."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._clones = True  # until it is known that they do not work

    def unit(self, unit: Unit) -> None:
        """Make what is in a unit."""
        work = self._work
        rows = work.rows[unit.first : unit.end]
        own = [] if unit.alone else [work.columns[row] for row in rows]
        make_directories(own, work.to)
        for row in rows:
            if files := work.files.get(row):
                self._fill(work.columns.paths[row], files)
        links = [one for row in rows for one in work.symlinks.get(row, ())]
        make_links([work.columns[row] for row in links], work.to)
        work.finish(own)

    def top(self) -> None:
        """Make what lies in the root directory itself."""
        work = self._work
        if rows := work.files.get(TOP):
            self._fill("", rows)
        make_links([work.columns[row] for row in work.symlinks.get(TOP, ())], work.to)

    def _fill(self, directory: str, rows: Sequence[int]) -> None:
        """Make the files in a directory."""
        work, columns = self._work, self._work.columns
        paths, numbers, shared = columns.paths, columns.numbers, columns.shared
        fresh = work.source.fresh
        skip = len(directory) + 1 if directory else 0
        with _both(work.source.place(directory), work.to.place(directory)) as (source, target):
            for row in rows:
                name = paths[row][skip:]
                if not fresh:
                    found = os.stat(name, dir_fd=source, follow_symlinks=False)
                    if numbers[row] != (
                        found.st_mode ^ stat.S_IFREG,
                        found.st_uid,
                        found.st_gid,
                        found.st_mtime_ns,
                        found.st_size,
                    ):
                        raise EditedError(f"/{paths[row]} was edited where it is kept")
                if self._clones:
                    self._clones = _clone(name, source, target, columns[row], work.to)
                    if self._clones:
                        continue
                if fresh or shared[row]:
                    os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
                else:
                    _copy(name, source, target, columns[row], work.to)


def _clone(name: str, source: int, target: int, entry: Entry, to: Destination) -> bool:
    """Make a file of its own that shares its blocks; say whether the file system can do that."""
    with _opened(name, source, target, entry) as (read, written):
        try:
            fcntl.ioctl(written, _CLONE, read)
        except OSError:
            os.unlink(name, dir_fd=target)
            return False
        dress(written, entry, to)
    return True


def _copy(name: str, source: int, target: int, entry: Entry, to: Destination) -> None:
    with _opened(name, source, target, entry) as (read, written):
        for offset, length in entry.extents if entry.extents is not None else ((0, entry.size),):
            _copy_span(read, written, offset, length)
        if entry.extents is not None:
            os.ftruncate(written, entry.size)
        dress(written, entry, to)


def _copy_span(read: int, written: int, offset: int, length: int) -> None:
    if offset:
        os.lseek(written, offset, os.SEEK_SET)
    while length:
        done = os.sendfile(written, read, offset, length)
        if not done:
            return
        offset, length = offset + done, length - done


@contextlib.contextmanager
def _opened(name: str, source: int, target: int, entry: Entry) -> Iterator[tuple[int, int]]:
    read = os.open(name, _READ, dir_fd=source)
    try:
        written = os.open(name, _NEW, entry.mode, dir_fd=target)
        try:
            yield read, written
        finally:
            os.close(written)
    finally:
        os.close(read)


@contextlib.contextmanager
def _both(source: str, target: str) -> Iterator[tuple[int, int]]:
    """Open two directories: what is in them is then found without walking along their paths."""
    first = os.open(source, _PATH)
    try:
        second = os.open(target, _PATH)
        try:
            yield first, second
        finally:
            os.close(second)
    finally:
        os.close(first)
