"""Can this kernel mount EROFS from files? Found out by trying."""

import logging
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from bootseer.errors import HostError
from snapshotter.erofs.build import build
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.erofs.syscall import mount_image, umount
from snapshotter.layers.records import BLOCK, Inodes, Tree

_LOG: Final = logging.getLogger(__name__)


def supports_file_backed(scratch: Path | None = None) -> bool:
    """Find out whether this kernel mounts EROFS from files, by mounting a tiny image.

    `scratch` is a directory on the file system where images will lie (a tmpfs cannot back a mount);
    default is `/var/tmp`. Raises `HostError` where even the permission to mount is missing.
    """
    with tempfile.TemporaryDirectory(dir=scratch or Path("/var/tmp")) as name:  # noqa: S108
        meta, data, target = (Path(name, part) for part in ("meta", "data", "mnt"))
        meta.write_bytes(build(_empty_tree(), 1, Options(uuid_of("probe"))))
        data.write_bytes(bytes(BLOCK))
        target.mkdir()
        try:
            mount_image(meta, target, data)
        except HostError as error:
            if isinstance(error.__cause__, PermissionError):
                raise
            _LOG.info("no file-backed erofs", extra={"fields": {"reason": error.message}})
            return False
        umount(target)
    return True


def _empty_tree() -> Tree:
    """Return a tree that is only a root directory."""
    nothing = np.zeros(0, dtype=np.uint32)
    one32, one64 = np.zeros(1, dtype=np.uint32), np.zeros(1, dtype=np.uint64)
    return Tree(
        inodes=Inodes(
            mode=np.array([0o40755], dtype=np.uint32),
            uid=one32,
            gid=one32,
            mtime_s=one64.astype(np.int64),
            mtime_ns=one32,
            size=one64,
            rdev=one32,
            data=one64,
            nlink=np.array([2], dtype=np.uint32),
            flags=np.zeros(1, dtype=np.uint8),
            xattrs=one32,
        ),
        parent=nothing,
        child=nothing,
        name_end=nothing.astype(np.uint64),
        names=b"",
        targets=b"",
        xattr_sets=((),),
    )
