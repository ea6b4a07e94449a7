"""What lstat says of a path, as far as it tells that something changed."""

import os
import stat
from typing import NamedTuple


class Facts(NamedTuple):
    """Of one path. The time of the last change counts: it cannot be set back."""

    mode: int
    """Type and permissions."""
    uid: int
    gid: int
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int
    links: int

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)


def facts_of(status: os.stat_result) -> Facts:
    """Return the facts in a status."""
    return Facts(
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_dev,
        status.st_ino,
        status.st_nlink,
    )
