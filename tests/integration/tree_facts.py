"""A mounted tree, entry by entry: what two ways of mounting an image must agree on."""

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bootseer.digests import digest_of_file


@dataclass(frozen=True)
class Facts:
    """What a program can find out about one name."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    rdev: int
    links: int
    same_inode: tuple[str, ...]
    """Names of the same inode, itself included."""
    xattrs: tuple[tuple[str, bytes], ...]
    target: str
    """Of a symlink."""
    digest: str
    """Of a regular file's content."""

    @property
    def whole_seconds(self) -> "Facts":
        """The same with its time rounded to a second."""
        seconds = (self.mtime_ns + 500_000_000) // 1_000_000_000
        return replace(self, mtime_ns=seconds * 1_000_000_000)


def facts_of(root: Path) -> dict[str, Facts]:
    """Return what is found below `root`, by path relative to it; the root itself is `.`.

    Names that are no UTF-8 have surrogates in them, as Python has it.
    """
    status = {path: path.lstat() for path in _walk(root)}
    same: dict[tuple[int, int], list[str]] = {}
    for path, found in status.items():
        same.setdefault((found.st_dev, found.st_ino), []).append(str(path.relative_to(root)))
    return {
        str(path.relative_to(root)): _facts(path, found, tuple(same[found.st_dev, found.st_ino]))
        for path, found in status.items()
    }


def _walk(root: Path) -> Iterator[Path]:
    yield root
    for directory, directories, files in os.walk(root):
        for name in sorted([*directories, *files]):
            yield Path(directory, name)


def _facts(path: Path, found: os.stat_result, same: tuple[str, ...]) -> Facts:
    is_directory = stat.S_ISDIR(found.st_mode)
    return Facts(
        mode=found.st_mode,
        uid=found.st_uid,
        gid=found.st_gid,
        mtime_ns=found.st_mtime_ns,
        size=0 if is_directory else found.st_size,
        rdev=found.st_rdev,
        # what a directory counts differs between file systems; its entries are compared anyway
        links=1 if is_directory else found.st_nlink,
        same_inode=() if is_directory else same,
        xattrs=tuple(
            sorted(
                (name, os.getxattr(path, name, follow_symlinks=False))
                for name in os.listxattr(path, follow_symlinks=False)
                if not name.startswith("trusted.overlay.")
            )
        ),
        target=str(path.readlink()) if stat.S_ISLNK(found.st_mode) else "",
        digest=digest_of_file(path) if stat.S_ISREG(found.st_mode) else "",
    )


def differences(
    one: Mapping[str, Facts], other: Mapping[str, Facts], untimed: Collection[str] = ()
) -> list[tuple[str, Facts | None, Facts | None]]:
    """Return the names that are not in both, or not the same.

    Of the root and the `untimed`, directories that no entry of a tar is of, times do not count: a
    full pull gives them that of the pull.
    """
    names = sorted({*one, *other})
    found = [(name, one.get(name), other.get(name)) for name in names]
    timeless = {".", *untimed}
    return [
        (name, here, there)
        for name, here, there in found
        if here != there and not (name in timeless and _but_for_time(here, there))
    ]


def _but_for_time(one: Facts | None, other: Facts | None) -> bool:
    return bool(one and other and replace(one, mtime_ns=0) == replace(other, mtime_ns=0))
