"""Entries of what is there: everything but the contents of files."""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from depsnap.tree.entries import DIRECTORIES, Entry, Kind, parent

_ATTRIBUTES: Final = ("user.", "security.capability", "system.posix_acl_")
_OVERLAY: Final = "user.overlay."
_BLOCK: Final = 512


def read_entries(
    changes: Iterable[tuple[str, Kind]],
    place: Callable[[str], Path],
    skipped: Callable[[str, str], None],
) -> list[Entry]:
    """Return the entries of these paths, which are read at `place(path)`.

    `skipped` is told (path, why) of what cannot be part of a snapshot: sockets, pipes, devices.
    Hard links to what is not in the snapshot become files; directories that lead to nothing are
    dropped.

    Raises:
        OSError: something cannot be read.
    """
    found: list[Entry] = []
    first: dict[tuple[int, int], str] = {}
    for path, kind in changes:
        if kind is Kind.DELETED:
            found.append(Entry(path, kind))
            continue
        try:
            entry = _read(path, kind, place(path), first)
        except FileNotFoundError:
            continue
        if entry is None:
            skipped(path, "neither file, directory nor link")
        else:
            found.append(entry)
    return pruned(found)


def pruned(entries: list[Entry]) -> list[Entry]:
    """Return the entries without directories that are as they were and lead to nothing."""
    needed: set[str] = set()
    for entry in entries:
        if entry.kind is not Kind.KEPT:
            above = parent(entry.path)
            while above and above not in needed:
                needed.add(above)
                above = parent(above)
    return [entry for entry in entries if entry.kind is not Kind.KEPT or entry.path in needed]


def _read(path: str, kind: Kind, real: Path, first: dict[tuple[int, int], str]) -> Entry | None:
    status = real.lstat()
    mode = status.st_mode
    if kind in DIRECTORIES and stat.S_ISDIR(mode):
        base = _base(path, kind, status)
        return base if kind is Kind.KEPT else base._replace(xattrs=_xattrs(real))
    if stat.S_ISLNK(mode):
        base = _base(path, Kind.SYMLINK, status)
        return base._replace(target=os.readlink(real), mode=0)  # noqa: PTH115 (as it is)
    if not stat.S_ISREG(mode):
        return None
    if status.st_nlink > 1:
        known = first.setdefault((status.st_dev, status.st_ino), path)
        if known != path:
            return _base(path, Kind.HARDLINK, status)._replace(target=known)
    entry = _base(path, Kind.FILE, status)._replace(size=status.st_size)
    if status.st_blocks * _BLOCK < status.st_size:
        entry = entry._replace(extents=_extents(real, status.st_size))
    xattrs = _xattrs(real)
    return entry._replace(xattrs=xattrs) if xattrs else entry


def _base(path: str, kind: Kind, status: os.stat_result) -> Entry:
    mode = stat.S_IMODE(status.st_mode)
    return Entry(path, kind, mode, status.st_uid, status.st_gid, status.st_mtime_ns)


def _xattrs(real: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        names = os.listxattr(real, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return ()
        raise
    return tuple(
        (name, os.getxattr(real, name, follow_symlinks=False))
        for name in sorted(names)
        if name.startswith(_ATTRIBUTES) and not name.startswith(_OVERLAY)
    )


def _extents(real: Path, size: int) -> tuple[tuple[int, int], ...] | None:
    """Return where a file has data; None if that is everywhere (it may be compressed below)."""
    found = []
    descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        offset = 0
        while offset < size:
            try:
                start = os.lseek(descriptor, offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                return None
            offset = os.lseek(descriptor, start, os.SEEK_HOLE)
            found.append((start, min(offset, size) - start))
    finally:
        os.close(descriptor)
    return None if found == [(0, size)] else tuple(found)
