"""What an overlay's upper directory says was changed.

Whiteouts are character devices 0:0; a directory that replaced another has the attribute `opaque`.
The overlay is mounted with `redirect_dir` and `metacopy` off, so that everything is really there.
"""

import filecmp
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from depsnap.tree.entries import Kind, sort_key


@dataclass(frozen=True, slots=True)
class Upper:
    """An upper directory and what it lies over."""

    directory: Path
    lower: Path
    attributes: str
    """What the names of the overlay's own attributes begin with: `trusted.overlay.`."""

    def changes(self) -> list[tuple[str, Kind]]:
        """Return each changed path with its kind, parents before children; the root is one.

        Files that were copied up and are as below are removed, and the overlay's own attributes.

        Raises:
            OSError: something cannot be read.
        """
        root = str(self.lower).strip("/")
        found = [(root, self._directory(self.directory, self.lower))] if root else []
        found += self._below(self.directory, self.lower, root)
        return sorted(found, key=lambda one: sort_key(one[0]))

    def _below(self, upper: Path, lower: Path, path: str) -> Iterator[tuple[str, Kind]]:
        waiting = [(str(upper), str(lower), path)]
        while waiting:
            above, below, prefix = waiting.pop()
            with os.scandir(above) as entries:
                for entry in entries:
                    inside = f"{prefix}/{entry.name}" if prefix else entry.name
                    real, old = Path(entry.path), Path(below, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        yield inside, self._directory(real, old)
                        waiting.append((entry.path, str(old), inside))
                    elif (kind := self._file(real, old)) is not None:
                        yield inside, kind

    def _directory(self, real: Path, old: Path) -> Kind:
        opaque = self._strip(real)
        try:
            was = old.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return Kind.NEW
        if not stat.S_ISDIR(was.st_mode):
            return Kind.NEW
        if opaque:
            return Kind.REPLACED
        now = real.lstat()
        same = (was.st_mode, was.st_uid, was.st_gid) == (now.st_mode, now.st_uid, now.st_gid)
        return Kind.KEPT if same else Kind.CHANGED

    def _file(self, real: Path, old: Path) -> Kind | None:
        """Return the kind of what is no directory; None if it is as it was below."""
        now = real.lstat()
        if stat.S_ISCHR(now.st_mode) and now.st_rdev == 0:
            return Kind.DELETED
        self._strip(real)
        if _as_below(real, old, now):
            real.unlink()
            return None
        return Kind.FILE

    def _strip(self, real: Path) -> bool:
        """Remove the overlay's attributes; say whether it replaced a directory."""
        opaque = False
        try:
            names = os.listxattr(real, follow_symlinks=False)
        except OSError:
            return False
        for name in names:
            if name.startswith(self.attributes):
                if name == f"{self.attributes}opaque":
                    value = os.getxattr(real, name, follow_symlinks=False)
                    opaque = value == b"y"
                os.removexattr(real, name, follow_symlinks=False)
        return opaque


def _as_below(real: Path, old: Path, now: os.stat_result) -> bool:
    """Say whether a file was copied up, and then nothing of it was changed but its times."""
    try:
        was = old.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not (stat.S_ISREG(now.st_mode) and stat.S_ISREG(was.st_mode)):
        return False
    if now.st_nlink > 1:
        return False
    facts = ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns")
    if any(getattr(was, name) != getattr(now, name) for name in facts):
        return False
    if os.listxattr(real) != os.listxattr(old):
        return False
    return filecmp.cmp(real, old, shallow=False)
