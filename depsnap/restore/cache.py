"""Trees that were restored on this node already, to be linked instead of unpacked.

A tree is kept by hard links to the files that were unpacked; it costs names, no data. From it files
that installers never rewrite are linked, all others are copied: a write through one name is a write
through all. People do edit what is installed, so on every use each file is compared with what the
snapshot says of it, size, time, mode and owner; one that differs, and nothing of the tree is used
(an edit that sets its time back is not seen).

Race-free: a tree appears by a rename, whole. Who uses it holds a shared lock on it, who removes it
an exclusive one, and does so only to what it has renamed away.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from depsnap.pool import shared_out
from depsnap.restore.making import (
    Destination,
    dress,
    exact_modes,
    finish_directories,
    make_directories,
    make_links,
)
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, Tree, parent

_LINKED: Final = re.compile(
    r"/(?:(?:site|dist)-packages|node_modules)/.*\.(?:py|pyc|pyi|pyx|pxd|so(?:\.[0-9.]+)?|a|h|hpp|cuh|js"
    r"|mjs|cjs|ts|map|css|html|png|svg|gif|jpg|ttf|npy|npz|bin|dat|csv|gz|xz|mat|parquet|f|f90|c|cc)$"
)
"""What no tool rewrites in place once it is installed."""
_REWRITTEN: Final = re.compile(r"\.(?:dist|egg)-info/|/bin/|\.pth$|easy-install|/etc/")
_SHARE: Final = 2_000
"""Files that one process makes before it takes more."""
_KEPT: Final = 4
"""Trees that are kept; the one used longest ago goes first."""


@dataclass(frozen=True, slots=True)
class TreeCache:
    """The kept trees."""

    directory: Path

    def restore(self, digest: str, tree: Tree, to: Destination, workers: int) -> bool:
        """Make everything in a tree but its deletions, from what is kept; say whether that is done.

        What is half made then is the caller's to remove.
        """
        kept = self.directory / digest
        with contextlib.suppress(OSError), _shared(kept):
            if not _intact(tree, kept):
                return False
            with exact_modes():
                make_directories(tree.entries, to)
                files = [entry for entry in tree.entries if entry.kind is Kind.FILE]
                shares = [files[at : at + _SHARE] for at in range(0, len(files), _SHARE)]
                shared_out(partial(_taking, kept, to), shares, workers)
                make_links(tree.entries, to)
                finish_directories(tree.entries, to)
            os.utime(kept)
            return True
        return False

    def keep(self, digest: str, tree: Tree, made: Destination) -> bool:
        """Keep a tree that was made just now, and is not in use yet; say whether that is done."""
        new = self.directory / f".{digest[:16]}.{secrets.token_hex(6)}"
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(digest)
            new.mkdir(mode=0o700)
            for entry in tree.entries:
                if entry.kind in DIRECTORIES:
                    Path(new, entry.path).mkdir(mode=0o700, parents=True, exist_ok=True)
                elif entry.kind is Kind.FILE:
                    os.link(made.place(entry.path), f"{new}/{entry.path}", follow_symlinks=False)
            new.rename(self.directory / digest)
        except OSError:  # on another file system, or there is no room for names
            shutil.rmtree(new, ignore_errors=True)
            return False
        return True

    def drop(self, digest: str) -> None:
        """Remove a tree, unless somebody uses it."""
        kept = self.directory / digest
        gone = self.directory / f".{secrets.token_hex(8)}"
        with contextlib.suppress(OSError), _exclusive(kept):
            kept.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _make_room(self, digest: str) -> None:
        """Remove what a killed process left, this tree if it is there, and the oldest."""
        trees = []
        for path in self.directory.iterdir():
            if path.name.startswith("."):
                if path.stat().st_mtime < self.directory.stat().st_mtime - 86_400:
                    shutil.rmtree(path, ignore_errors=True)
            elif path.name != digest:
                trees.append((path.stat().st_mtime, path.name))
        self.drop(digest)
        for _, name in sorted(trees)[: max(0, len(trees) - _KEPT + 1)]:
            self.drop(name)


def _intact(tree: Tree, kept: Path) -> bool:
    """Say whether all files are as the snapshot says."""
    for entry in tree.entries:
        if entry.kind is Kind.FILE:
            found = os.lstat(f"{kept}/{entry.path}")
            if (
                (found.st_size, found.st_mtime_ns) != (entry.size, entry.mtime_ns)
                or found.st_mode != stat.S_IFREG | entry.mode
                or (found.st_uid, found.st_gid) != (entry.uid, entry.gid)
            ):
                return False
    return True


@contextlib.contextmanager
def _taking(kept: Path, to: Destination) -> Iterator["_Take"]:
    yield _Take(kept, to)


@dataclass(frozen=True, slots=True)
class _Take:
    """Makes files from a kept tree, directory by directory."""

    kept: Path
    to: Destination

    def __call__(self, entries: list[Entry]) -> None:
        directory, target = None, ""
        for entry in entries:
            above = parent(entry.path)
            if above != directory:
                directory, target = above, self.to.place(above)
            name = entry.path[len(above) :]
            source = f"{self.kept}/{entry.path}"
            if _LINKED.search(f"/{entry.path}") and not _REWRITTEN.search(f"/{entry.path}"):
                os.link(source, f"{target}/{name}", follow_symlinks=False)
            else:
                self._copy(source, f"{target}/{name}", entry)

    def _copy(self, source: str, target: str, entry: Entry) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        read = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            written = os.open(target, flags, entry.mode)
            try:
                for offset, length in entry.extents or ((0, entry.size),):
                    _copy_span(read, written, offset, length)
                os.ftruncate(written, entry.size)
                dress(written, entry, self.to)
            finally:
                os.close(written)
        finally:
            os.close(read)


def _copy_span(read: int, written: int, offset: int, length: int) -> None:
    os.lseek(written, offset, os.SEEK_SET)
    while length:
        done = os.sendfile(written, read, offset, length)
        if not done:
            return
        offset, length = offset + done, length - done


@contextlib.contextmanager
def _shared(path: Path) -> Iterator[None]:
    with _locked(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with _locked(path, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
