"""Directories of snapshots that have a tree of their own: `snapshots/<id>/{fs,work}`. Blocking.

    new-*   being made, renamed to its id when it is complete
    <id>    of the snapshot with that id, if there is one; otherwise left over from a crash
    gone-*  of a removed snapshot, waiting to be deleted

Everything but `disk_usage` is called inside a transaction of the store, that is: one
at a time. So a `new-*` directory that `sweep` sees is left over; and because `sweep` moves
left-overs aside before they are deleted elsewhere, a deletion can't hit a directory that got the
same name meanwhile.
"""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from snapshotter.snapshots.records import Kind, Owner, Usage

_SECTOR = 512
"""Unit of st_blocks, in bytes."""

_LONG = 1000
"""Bytes of a path from which on lookups are shortened. Any name still fits (PATH_MAX is 4,096)."""


class Directories:
    """The directory of snapshots under `root`, which is made where it is missing."""

    def __init__(self, root: Path) -> None:
        self._root = root / "snapshots"
        self._root.mkdir(mode=0o700, exist_ok=True)

    def tree(self, number: int) -> Path:
        """Return where a snapshot's tree is."""
        return self._root / str(number) / "fs"

    def work(self, number: int) -> Path:
        """Return overlayfs' work directory of an active snapshot."""
        return self._root / str(number) / "work"

    def create(self, number: int, kind: Kind, owner: Owner) -> None:
        """Make a snapshot's directories, whole or not at all; its tree's root belongs to `owner`.

        What a crash left under this id is moved aside.
        """
        new = self._root / f"new-{secrets.token_hex(8)}"
        new.mkdir(mode=0o700)
        try:
            _make_tree(new / "fs", owner)
            if kind is Kind.ACTIVE:
                (new / "work").mkdir(mode=0o711)
            self.discard(number)
            new.rename(self._root / str(number))
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise

    def discard(self, number: int) -> None:
        """Move a snapshot's directory aside, if there is one, to be deleted later."""
        self._set_aside(str(number))

    def sweep(self, alive: Set[int]) -> list[Path]:
        """Move aside whatever belongs to none of the ids and return all that can be deleted."""
        names = [entry.name for entry in os.scandir(self._root)]
        for name in abandoned(names, alive):
            self._set_aside(name)
        return sorted(self._root.glob("gone-*"))

    def _set_aside(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self._root / name).rename(self._root / f"gone-{name}-{secrets.token_hex(4)}")


def abandoned(names: Iterable[str], alive: Set[int]) -> list[str]:
    """Return the names that neither a living snapshot has nor are set aside already."""
    living = {str(number) for number in alive}
    return [name for name in names if name not in living and not name.startswith("gone-")]


def owner(tree: Path) -> Owner:
    """Return who owns the root of a tree."""
    status = tree.lstat()
    return Owner(status.st_uid, status.st_gid, status.st_mode & 0o7777)


def disk_usage(tree: Path) -> Usage:
    """Count the inodes in a tree and the bytes they take on disk, each inode once.

    Files that disappear meanwhile don't count: the tree may be in use.
    """
    root = tree.lstat()
    size, inodes = root.st_blocks * _SECTOR, 1
    linked: set[tuple[int, int]] = set()
    for status in _walk(tree):
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            inode = (status.st_dev, status.st_ino)
            if inode in linked:
                continue
            linked.add(inode)
        size += status.st_blocks * _SECTOR
        inodes += 1
    return Usage(size, inodes)


def _walk(tree: Path) -> Iterator[os.stat_result]:
    """Yield the status of everything below `tree`, however deep.

    Where a path becomes too long for a system call it goes on from an open directory, which is
    closed when the stack is back where it was opened.
    """
    pending: list[bytes | int] = [os.fsencode(tree)]
    try:
        while pending:
            top = pending.pop()
            if isinstance(top, int):
                os.close(top)
                continue
            with contextlib.suppress(FileNotFoundError):
                if len(top) > _LONG:
                    opened = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
                    pending.append(opened)
                    top = b"/proc/self/fd/%d" % opened
                yield from _entries(top, pending)
    finally:
        for left in pending:
            if isinstance(left, int):
                os.close(left)


def _entries(directory: bytes, pending: list[bytes | int]) -> Iterator[os.stat_result]:
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)


def _make_tree(path: Path, owner: Owner) -> None:
    path.mkdir()
    os.chown(path, owner.uid, owner.gid)
    # After chown, which may clear bits, and against the umask.
    path.chmod(owner.mode)
