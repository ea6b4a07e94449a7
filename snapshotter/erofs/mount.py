"""Mount and unmount EROFS images with mount(2). Blocking: call it in a thread.

util-linux' mount(8) is not used: it puts a loop device under a file without saying so. The data
device may be a file on this program's own FUSE mount. The kernel opens it by itself for a
file-backed mount; the loop route needs a descriptor, so it runs in a process of its own
(`loop_mount`): a daemon that owns a descriptor inside its own mount deadlocks when it closes it.
"""

import ctypes
import errno
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from bootseer.errors import HostError, UsageError
from snapshotter.erofs.build import build
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.records import BLOCK, Inodes, Tree

_LOG: Final = logging.getLogger(__name__)
_MS_RDONLY: Final = 1
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8
_LOOP_SECONDS: Final = 60.0
"""How long the loop helper may take."""

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


def mount_erofs(meta: Path, target: Path, device: Path | None, *, via_loop: bool = False) -> None:
    """Mount the image `meta`, with the data area `device`, read-only on the directory `target`.

    File-backed, or with `via_loop` through read-only loop devices that the kernel frees at umount.
    Raises `HostError` when the kernel refuses and `UsageError` for a path that cannot be a mount
    option.
    """
    if via_loop:
        _mount_in_helper(meta, target, device)
    else:
        mount_image(meta, target, device)
    fields = {"meta": str(meta), "target": str(target), "via_loop": via_loop}
    _LOG.debug("erofs mounted", extra={"fields": fields})


def mount_image(source: Path, target: Path, device: Path | None) -> None:
    """Call mount(2) with `source` and `device`, files or block devices as they are."""
    data = _option("device", device) if device else b""
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


def backing_dev(target: Path) -> tuple[int, int]:
    """Return (major, minor) of the file system mounted at `target`, as stat(2) gives it.

    Through a loop device it is that device, which `/sys/class/bdi/MAJOR:MINOR` describes. A
    file-backed mount has an anonymous device (major 0), and the kernel names its entry there
    `erofs-N` instead, with no link between the two.
    """
    device = target.stat().st_dev
    return os.major(device), os.minor(device)


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


def _mount_in_helper(meta: Path, target: Path, device: Path | None) -> None:
    command = [sys.executable, "-m", "snapshotter.erofs.loop_mount", str(meta), str(target)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    try:
        done = subprocess.run(
            [*command, *([str(device)] if device else [])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LOOP_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(
            f"cannot mount {meta} through loop devices: no answer in {_LOOP_SECONDS:.0f} s",
            hint="is the process that serves the data area alive?",
        ) from error
    if done.returncode:
        raise HostError(done.stderr.strip() or f"the loop helper failed for {meta}")


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
