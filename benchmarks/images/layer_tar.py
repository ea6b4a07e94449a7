"""An overlay upper directory as a layer tar (OCI image specification, "Filesystem Changeset").

Overlay marks what it hides in its own way (kernel documentation, overlayfs, "whiteouts and opaque
directories"): a character device 0:0 hides a name, the extended attribute `trusted.overlay.opaque`
hides a directory's lower contents. A layer says the same with names that start with `.wh.`.
"""

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_SKIPPED_XATTRS = ("trusted.", "user.overlay.", "system.", "security.selinux")


@dataclass(slots=True)
class LayerTar:
    """Writes one directory tree as a layer.

    `leave_out` are paths relative to the root whose contents (directories) or themselves (files)
    belong to the build and not to the image. `clamp` is a time in seconds: what changed after
    `clamp` was made by the build and gets `epoch` as its mtime, so that building twice gives
    nearly the same layer.
    """

    root: Path
    leave_out: frozenset[str] = frozenset()
    clamp: float = float("inf")
    epoch: int = 0
    _links: dict[tuple[int, int], str] = field(default_factory=dict)

    def write(self, output: IO[bytes]) -> int:
        """Write the tar to `output`; return the sum of the regular files' sizes in bytes."""
        total = 0
        with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for path in self._walk(self.root):
                total += self._add(tar, path)
        return total

    def _walk(self, directory: Path) -> Iterator[Path]:
        skip_contents = str(directory.relative_to(self.root)) in self.leave_out
        for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
            path = Path(entry.path)
            is_directory = entry.is_dir(follow_symlinks=False)
            if skip_contents or (not is_directory and self._name(path) in self.leave_out):
                continue
            yield path
            if is_directory:
                yield from self._walk(path)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    def _add(self, tar: tarfile.TarFile, path: Path) -> int:
        status = path.lstat()
        name = self._name(path)
        if stat.S_ISSOCK(status.st_mode):
            return 0  # a socket cannot be in a tar
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            self._add_mark(tar, str(Path(name).with_name(WHITEOUT + path.name)))
            return 0
        info = self._info(path, name, status)
        if info.isreg():
            with path.open("rb") as content:
                tar.addfile(info, content)
            return info.size
        tar.addfile(info)
        if info.isdir() and _is_opaque(path):
            self._add_mark(tar, f"{name}/{OPAQUE}")
        return 0

    def _add_mark(self, tar: tarfile.TarFile, name: str) -> None:
        mark = tarfile.TarInfo(name)
        mark.mtime = self.epoch
        tar.addfile(mark)

    def _info(self, path: Path, name: str, status: os.stat_result) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = status.st_uid, status.st_gid
        info.mtime = self.epoch if status.st_mtime > self.clamp else int(status.st_mtime)
        info.pax_headers = {
            f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
            for key, value in _xattrs(path)
        }
        first = self._links.setdefault((status.st_dev, status.st_ino), name)
        if first != name and not stat.S_ISDIR(status.st_mode):
            info.type, info.linkname = tarfile.LNKTYPE, first
            return info
        _set_type(info, path, status)
        return info


def _set_type(info: tarfile.TarInfo, path: Path, status: os.stat_result) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        info.type, info.size = tarfile.REGTYPE, status.st_size
    elif stat.S_ISDIR(mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif stat.S_ISFIFO(mode):
        info.type = tarfile.FIFOTYPE
    else:
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)


def _xattrs(path: Path) -> Iterator[tuple[str, bytes]]:
    for key in sorted(os.listxattr(path, follow_symlinks=False)):
        if not key.startswith(_SKIPPED_XATTRS):
            yield key, os.getxattr(path, key, follow_symlinks=False)


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False
