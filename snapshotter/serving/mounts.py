"""Mounting and unmounting of layers. Runs in a worker process: see `workers`.

Both read-aheads on the path are set on purpose: that of the EROFS mount here, that of the FUSE
mount when the server starts.
"""

import errno
import logging
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import HostError
from snapshotter.erofs.mount import bdi_directory, mount_erofs, umount

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MountJob:
    """One EROFS mount."""

    metadata: Path
    target: Path
    devices: tuple[Path, ...]
    """The data area, then the hot area of a hot layout; none for a layer without file data."""
    via_loop: bool
    direct: bool
    """Read the devices past their own page cache."""
    read_ahead_kb: int
    """Read-ahead of the mount; negative leaves the kernel's default."""


def mount_layer(job: MountJob) -> None:
    """Mount a layer. HostError if the kernel refuses; nothing is left mounted then."""
    job.target.mkdir(parents=True, exist_ok=True)
    data, more = (job.devices[0], job.devices[1:]) if job.devices else (None, ())
    mount_erofs(job.metadata, job.target, data, *more, via_loop=job.via_loop, direct=job.direct)
    if job.read_ahead_kb >= 0:
        set_read_ahead(bdi_directory(job.target), job.read_ahead_kb)


def unmount_layer(target: Path, *, lazy: bool) -> bool:
    """Unmount a layer, as often as it is mounted there; False if it is in use.

    Nothing mounted there is as good as unmounted.
    """
    while True:
        try:
            umount(target, lazy=lazy)
        except HostError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno == errno.EINVAL:
                return True
            if isinstance(cause, OSError) and cause.errno == errno.EBUSY:
                return False
            raise


def change_read_ahead(target: Path, kilobytes: int) -> None:
    """Set the read-ahead of files that are opened from now on below a mount."""
    if kilobytes >= 0:
        set_read_ahead(bdi_directory(target), kilobytes)


def set_read_ahead(bdi: Path, kilobytes: int) -> None:
    """Set a mount's read-ahead by its entry in sysfs; a kernel that won't costs only speed."""
    try:
        (bdi / "read_ahead_kb").write_text(str(kilobytes))
    except OSError as error:
        fields = {"path": str(bdi), "reason": str(error)}
        log.warning("mount.read_ahead_not_set", extra={"fields": fields})
