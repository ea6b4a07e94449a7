"""Names of users and groups in HDFS as numbers of this machine, and back."""

import errno
import grp
import os
import pwd
from typing import Final

NOBODY: Final = 65534


def uid_of(name: str, own: str) -> int:
    """Return the number of a user: ours for `own`, who we are there."""
    if name == own:
        return os.getuid()
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return NOBODY


def gid_of(name: str) -> int:
    """Return the number of a group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return NOBODY


def name_of_user(uid: int, own: str) -> str:
    """Return the name of a number: `own` for ours. OSError EINVAL if it has none here."""
    try:
        return own if uid == os.getuid() else pwd.getpwuid(uid).pw_name
    except KeyError:
        raise OSError(errno.EINVAL, "no user here has that number", str(uid)) from None


def name_of_group(gid: int) -> str:
    """Return the name of a number. OSError EINVAL if it has none here."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        raise OSError(errno.EINVAL, "no group here has that number", str(gid)) from None
