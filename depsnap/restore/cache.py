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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from bootseer.errors import BootseerError
from depsnap.pool import by_size, ignore, shared_out
from depsnap.restore.making import (
    Destination,
    dress,
    exact_modes,
    finish_directories,
    make_directories,
    make_links,
)
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, Tree, parent

_INSTALLED: Final = re.compile(r"/(?:(?:site|dist)-packages|node_modules)/")
_REWRITTEN: Final = re.compile(r"\.(?:dist|egg)-info/|/bin/|/etc/|easy-install")
"""Directories where no tool rewrites what it has installed, and such in them where some do."""
_SUFFIXES: Final = """
    py pyc pyi pyx pxd so a h hpp cuh c cc f f90 js mjs cjs ts map css html png svg gif jpg ttf
    npy npz bin dat csv gz xz mat parquet
"""
_LINKED: Final = frozenset(_SUFFIXES.split())
"""Suffixes of what no tool rewrites in place once it is installed."""
_LIBRARY: Final = re.compile(r"\.so\.[0-9.]+$")
_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_SHARE: Final = 2_000
"""Files that one process makes before it takes more."""
_KEPT: Final = 4
"""Trees that are kept; the one used longest ago goes first."""


@dataclass(frozen=True, slots=True)
class TreeCache:
    """The kept trees."""

    directory: Path

    def restore(
        self,
        digest: str,
        tree: Tree,
        to: Destination,
        workers: int,
        more: Callable[[int], None] = ignore,
    ) -> bool:
        """Make everything in a tree but its deletions, from what is kept; say whether that is done.

        What is half made then is the caller's to remove. `more` hears of bytes that are there.
        """
        kept = self.directory / digest
        with contextlib.suppress(OSError, _EditedError), _shared(kept):
            with exact_modes():
                make_directories(tree.entries, to)
                shares = _shares(tree)
                sizes = [sum(one.size for _, files in share for one in files) for share in shares]
                start = partial(_taking, str(kept), to)
                shared_out(start, shares, workers, by_size(sizes, more))
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
            for directory, files in _by_directory(tree).items():
                with _both(made.place(directory), f"{new}/{directory}") as (source, target):
                    for entry in files:
                        _link(entry.path[len(directory) + 1 :], source, target)
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


class _EditedError(BootseerError):
    """Somebody changed a file of a kept tree."""


def _by_directory(tree: Tree) -> dict[str, list[Entry]]:
    """Return the files in each directory."""
    found: dict[str, list[Entry]] = {}
    for entry in tree.entries:
        if entry.kind is Kind.FILE:
            found.setdefault(parent(entry.path), []).append(entry)
    return found


_Share: TypeAlias = list[tuple[str, list[Entry]]]
"""Directories, each with its files."""


def _shares(tree: Tree) -> list[_Share]:
    """Return all directories with files, in shares of about equal work."""
    shares: list[_Share] = [[]]
    count = 0
    for directory, files in _by_directory(tree).items():
        shares[-1].append((directory, files))
        count += len(files)
        if count >= _SHARE:
            shares.append([])
            count = 0
    return shares


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


def _link(name: str, source: int, target: int) -> None:
    os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)


def _as_said(found: os.stat_result, entry: Entry) -> bool:
    """Say whether a file is as the snapshot says."""
    return (
        found.st_mtime_ns == entry.mtime_ns
        and found.st_size == entry.size
        and found.st_mode == stat.S_IFREG | entry.mode
        and found.st_uid == entry.uid
        and found.st_gid == entry.gid
    )


def _has_links(directory: str) -> bool:
    """Say whether any files in a directory are linked rather than copied."""
    whole = f"/{directory}/"
    return _INSTALLED.search(whole) is not None and _REWRITTEN.search(whole) is None


def _is_linked(name: str) -> bool:
    """Say whether a file is linked, if any in its directory are."""
    if "easy-install" in name:
        return False
    return name.rpartition(".")[2] in _LINKED or _LIBRARY.search(name) is not None


@contextlib.contextmanager
def _taking(kept: str, to: Destination) -> Iterator["_Take"]:
    yield _Take(kept, to)


@dataclass(frozen=True, slots=True)
class _Take:
    """Makes files from a kept tree, directory by directory."""

    kept: str
    to: Destination

    def __call__(self, share: _Share) -> None:
        for directory, files in share:
            has_links = _has_links(directory)
            skip = len(directory) + 1
            with _both(f"{self.kept}/{directory}", self.to.place(directory)) as (source, target):
                for entry in files:
                    name = entry.path[skip:]
                    if not _as_said(os.stat(name, dir_fd=source, follow_symlinks=False), entry):
                        raise _EditedError(f"{self.kept}/{entry.path} was edited")
                    if has_links and _is_linked(name):
                        _link(name, source, target)
                    else:
                        self._copy(name, source, target, entry)

    def _copy(self, name: str, source: int, target: int, entry: Entry) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        read = os.open(name, flags, dir_fd=source)
        try:
            written = os.open(name, _NEW, entry.mode, dir_fd=target)
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
