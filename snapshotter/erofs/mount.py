"""Mount and unmount EROFS images with mount(2). Blocking: call it in a thread.

util-linux' mount(8) is not used: it puts a loop device under a file without saying so. The data
device may be a file on this program's own FUSE mount. The kernel opens it by itself for a
file-backed mount; the loop route needs a descriptor, so it runs in a process of its own
(`loop_mount`): a daemon that owns a descriptor inside its own mount deadlocks when it closes it.
"""

import errno
import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bootseer.errors import HostError
from snapshotter.erofs.probe import supports_file_backed
from snapshotter.erofs.syscall import mount_image, umount

__all__ = ["backing_dev", "bdi_directory", "mount_erofs", "supports_file_backed", "umount"]

_LOG: Final = logging.getLogger(__name__)
_LOOP_SECONDS: Final = 60.0
"""How long the loop helper may take."""
_SYSFS_PATH_SIZE: Final = 129
_FS_IOC_GETFSSYSFSPATH: Final = 2 << 30 | _SYSFS_PATH_SIZE << 16 | 0x15 << 8 | 1
"""`_IOR(0x15, 1, struct fs_sysfs_path)`, Linux 6.9: a length byte and up to 128 bytes."""


def mount_erofs(
    meta: Path,
    target: Path,
    device: Path | None,
    *more: Path,
    via_loop: bool = False,
    direct: bool = False,
) -> None:
    """Mount the image `meta`, with the data area `device`, read-only on the directory `target`.

    `more` are further extra devices in the order of the device table: the hot area of a hot layout.

    File-backed, or with `via_loop` through read-only loop devices that the kernel frees at umount.
    `direct`: a file-backed mount reads its files past their own page cache where the kernel can.
    Right for local files (what EROFS caches need not be cached twice), wrong for FUSE: a program
    that faults its way through a library reads page by page, and only the page cache of the FUSE
    file, with its read-ahead, makes few requests of that. Raises `HostError` when the kernel
    refuses and `UsageError` for a path that cannot be a mount option.
    """
    devices = (*([device] if device else []), *more)
    if via_loop:
        _mount_in_helper(meta, target, devices)
    else:
        _mount_files(meta, target, devices, direct=direct)
    fields = {"meta": str(meta), "target": str(target), "via_loop": via_loop}
    _LOG.debug("erofs mounted", extra={"fields": fields})


def _mount_files(meta: Path, target: Path, devices: Sequence[Path], *, direct: bool) -> None:
    try:
        mount_image(meta, target, *devices, direct=direct)
    except HostError as error:
        cause = error.__cause__
        if not direct or not isinstance(cause, OSError) or cause.errno != errno.EINVAL:
            raise
        mount_image(meta, target, *devices)  # a kernel or file system without direct I/O


def backing_dev(target: Path) -> tuple[int, int]:
    """Return (major, minor) of the file system mounted at `target`, as stat(2) gives it.

    Through a loop device it is that device; a file-backed mount has an anonymous one (major 0).
    """
    device = target.stat().st_dev
    return os.major(device), os.minor(device)


def bdi_directory(target: Path) -> Path:
    """Return the `/sys/class/bdi` entry (with `read_ahead_kb`) of the EROFS mounted at `target`.

    File-backed mounts are listed as `erofs-N` there, and only an ioctl tells which N is whose.
    Raises `HostError` on kernels before 6.9, which have no such ioctl (nor file-backed mounts).
    """
    major, minor = backing_dev(target)
    if major:
        return Path(f"/sys/class/bdi/{major}:{minor}")
    answer = bytearray(_SYSFS_PATH_SIZE)
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _FS_IOC_GETFSSYSFSPATH, answer)
    except OSError as error:
        raise HostError(f"{target}: the kernel does not name its file system in sysfs") from error
    finally:
        os.close(descriptor)
    return Path("/sys/class/bdi") / Path(os.fsdecode(bytes(answer[1 : 1 + answer[0]]))).name


def _mount_in_helper(meta: Path, target: Path, devices: Sequence[Path]) -> None:
    command = [sys.executable, "-m", "snapshotter.erofs.loop_mount", str(meta), str(target)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    try:
        done = subprocess.run(
            [*command, *map(str, devices)],
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
