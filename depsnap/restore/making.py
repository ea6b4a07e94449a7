"""Makes what is no contents: directories, links, owners, times. Both ways to restore need it.

Paths are text here, not `Path`: there are tens of thousands of them.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from depsnap.tree.entries import DIRECTORIES, Entry, Kind

_SET_IDS: Final = 0o6000


@dataclass(frozen=True, slots=True)
class Destination:
    """Where each entry goes."""

    place: Callable[[str], str]
    """From a path to where it is made."""
    uid: int
    gid: int
    """Whose files are made here without asking for it."""


@contextlib.contextmanager
def exact_modes() -> Iterator[None]:
    """Modes are as they are asked for, whatever the caller's umask is."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def make_directories(entries: Iterable[Entry], to: Destination) -> None:
    """Make all directories, for nobody else yet. That of a root may be there."""
    for entry in entries:
        if entry.kind in DIRECTORIES:
            with contextlib.suppress(FileExistsError):
                os.mkdir(to.place(entry.path), 0o700)  # noqa: PTH102


def make_links(entries: Iterable[Entry], to: Destination) -> None:
    """Make symlinks, and the other names of files that are there."""
    for entry in entries:
        if entry.kind is Kind.HARDLINK:
            os.link(to.place(entry.target), to.place(entry.path), follow_symlinks=False)
        elif entry.kind is Kind.SYMLINK:
            path = to.place(entry.path)
            os.symlink(entry.target, path)  # noqa: PTH211
            if (entry.uid, entry.gid) != (to.uid, to.gid):
                os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def finish_directories(entries: Iterable[Entry], to: Destination) -> None:
    """Give directories their modes, owners and times, once nothing more is put into them."""
    for entry in reversed([entry for entry in entries if entry.kind in DIRECTORIES]):
        path = to.place(entry.path)
        if (entry.uid, entry.gid) != (to.uid, to.gid):
            os.chown(path, entry.uid, entry.gid)
        for name, value in entry.xattrs:
            os.setxattr(path, name, value)
        os.chmod(path, entry.mode)  # noqa: PTH101
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def dress(descriptor: int, entry: Entry, to: Destination) -> None:
    """Give an open file its owner, attributes and time; its mode it has from being opened."""
    foreign = (entry.uid, entry.gid) != (to.uid, to.gid)
    if foreign:
        os.fchown(descriptor, entry.uid, entry.gid)
    if foreign or entry.mode & _SET_IDS:
        os.fchmod(descriptor, entry.mode)  # giving away and writing take the set-ID bits
    for name, value in entry.xattrs:
        os.setxattr(descriptor, name, value)
    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
