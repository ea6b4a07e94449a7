"""mount(2) and umount2(2) for EROFS, and their errors in words. Imports next to nothing."""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

from bootseer.errors import HostError, UsageError

_MS_RDONLY: Final = 1
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)

_HINTS: Final = {
    errno.ENOTBLK: "this kernel cannot mount EROFS from a file: it needs Linux 6.12 with"
    " CONFIG_EROFS_FS_BACKED_BY_FILE; the loop device route works without",
    errno.ENODEV: "this kernel has no EROFS: it needs CONFIG_EROFS_FS, or modprobe erofs",
    errno.EPERM: "mounting needs root (CAP_SYS_ADMIN)",
    errno.EINVAL: "the file system below may not allow it (tmpfs does not), or the image is not"
    " what this kernel reads; see dmesg",
    errno.ENOENT: "a file or the mount point does not exist",
    errno.EBUSY: "it is in use",
}


def mount_image(source: Path, target: Path, *devices: Path, direct: bool = False) -> None:
    """Call mount(2) with `source` and its extra devices in the order of the device table.

    They are files or block devices as they are. `direct`: files are read past their own page cache.
    """
    options = [b"directio"] if direct else []
    options += [_option("device", device) for device in devices]
    data = b",".join(options)
    result = _libc.mount(os.fsencode(source), os.fsencode(target), b"erofs", _MS_RDONLY, data)
    if result:
        raise host_error(ctypes.get_errno(), f"mount {source} on {target} as erofs")


def umount(target: Path, *, lazy: bool = False) -> None:
    """Unmount `target`; `lazy` takes it out of the tree now and lets open files finish.

    Raises `HostError`, also when nothing is mounted there.
    """
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if lazy else 0)
    if _libc.umount2(os.fsencode(target), flags):
        number = ctypes.get_errno()
        hint = "nothing is mounted there" if number == errno.EINVAL else None
        raise host_error(number, f"unmount {target}", hint=hint)


def host_error(number: int, what: str, *, hint: str | None = None) -> HostError:
    """Return the error for errno `number`, with its text and what to do about it."""
    error = HostError(f"cannot {what}: {os.strerror(number)}", hint=hint or _HINTS.get(number))
    error.__cause__ = OSError(number, os.strerror(number))
    return error


def _option(name: str, path: Path) -> bytes:
    value = os.fsencode(path)
    if b"," in value or b"\\" in value:
        raise UsageError(f"{path}: a mount option cannot hold commas and backslashes")
    return name.encode() + b"=" + value
