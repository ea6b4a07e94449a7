"""Mounting and unmounting of layers. Runs in a worker process: see `workers`.

Both read-aheads on the path are set on purpose: that of the EROFS mount here, that of the FUSE
mount when the server starts.
"""

import errno
import logging
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import HostError
from snapshotter.erofs.mount import backing_dev, mount_erofs, umount

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MountJob:
    """One EROFS mount."""

    metadata: Path
    target: Path
    device: Path | None
    """The data area; None for a layer without file data."""
    via_loop: bool
    read_ahead_kb: int
    """Read-ahead of the mount; negative leaves the kernel's default."""


def mount_layer(job: MountJob) -> None:
    """Mount a layer. HostError if the kernel refuses; nothing is left mounted then."""
    job.target.mkdir(exist_ok=True)
    mount_erofs(job.metadata, job.target, job.device, via_loop=job.via_loop)
    if job.read_ahead_kb >= 0:
        set_read_ahead(backing_dev(job.target), job.read_ahead_kb)


def unmount_layer(target: Path, *, lazy: bool) -> bool:
    """Unmount a layer; False if it is in use. Nothing mounted there is as good as unmounted."""
    try:
        umount(target, lazy=lazy)
    except HostError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.EINVAL:
            return True
        if isinstance(cause, OSError) and cause.errno == errno.EBUSY:
            return False
        raise
    return True


def set_read_ahead(device: tuple[int, int], kilobytes: int) -> None:
    """Set the read-ahead of a mount by its device number; a kernel that won't costs only speed."""
    path = Path(f"/sys/class/bdi/{device[0]}:{device[1]}/read_ahead_kb")
    try:
        path.write_text(str(kilobytes))
    except OSError as error:
        fields = {"path": str(path), "reason": str(error)}
        log.warning("mount.read_ahead_not_set", extra={"fields": fields})
