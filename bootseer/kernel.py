"""What is said to the kernel about mounts: mount(2), FUSE device, connection control. Stdlib only.

References: fuse(4), Linux `include/uapi/linux/fuse.h`, mount(2).
"""

import ctypes
import errno
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MNT_DETACH: Final = 2

_CONNECTIONS: Final = "/sys/fs/fuse/connections"
_INIT_SIZE: Final = 4096
_FUSE_INIT: Final = 26
_NOTIFY_RESEND: Final = struct.pack("<IiQ", 16, 7, 0)

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    """mount(2). OSError naming the target if the kernel refuses."""
    words = [word.encode() for word in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def unmount(target: str, *, lazy: bool = False) -> bool:
    """umount2(2). Return False if nothing is mounted there or it is busy."""
    if _libc.umount2(target.encode(), MNT_DETACH if lazy else 0) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOENT, errno.EBUSY):
        return False
    raise OSError(number, os.strerror(number), target)


def open_fuse(target: Path) -> tuple[int, bytes]:
    """Mount an empty FUSE connection on `target`.

    Returns the /dev/fuse descriptor (close-on-exec) and the kernel's FUSE_INIT request, which is
    the first thing that it sends and sends only once: a later server is shown these same bytes.
    """
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
        mount("bootseer", str(target), "fuse.bootseer", MS_NOSUID | MS_NODEV, options)
        request = os.read(device, 1 << 20)
    except BaseException:
        os.close(device)
        raise
    length, opcode = struct.unpack_from("<II", request)
    if opcode != _FUSE_INIT or length != len(request) or length > _INIT_SIZE:
        os.close(device)
        raise OSError(errno.EPROTO, f"first FUSE request is opcode {opcode}, INIT expected")
    return device, request


def resend(device: int) -> bool:
    """Ask for every request that a dead server had read and not answered (kernel >= 6.9)."""
    try:
        os.write(device, _NOTIFY_RESEND)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise
    return True


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A mount, as the kernel lists it."""

    point: str
    kind: str
    """Type of the file system, with its subtype: `fuse.bootseer-hdfs`."""
    minor: str
    """Number of the device that the kernel made up for it; of FUSE: of the connection."""
    source: str = ""
    """What was mounted, as whoever did it named it."""

    @property
    def connection(self) -> Path:
        """The control directory of a FUSE connection."""
        return Path(_CONNECTIONS) / self.minor


def mount_points() -> list[MountPoint]:
    """Return all mounts that this process sees, in the order in which they were made."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        end = fields.index("-", 6)
        minor = fields[2].partition(":")[2]
        found.append(MountPoint(point, fields[end + 1], minor, fields[end + 2]))
    return found


def find_mount(target: Path) -> MountPoint | None:
    """Return what is mounted on `target`, on top; None if nothing is. Touches it not."""
    found = [one for one in mount_points() if one.point == str(target)]
    return found[-1] if found else None


def connection_directory(target: Path) -> Path:
    """Return the FUSE connection's control directory. `target` is a mount point."""
    found = find_mount(target)
    if found is None:
        raise OSError(errno.ENOENT, "not a mount point", str(target))
    return found.connection


def abort(connection: Path) -> None:
    """Abort a FUSE connection: every reader gets an error instead of hanging."""
    if all(one.kind != "fusectl" for one in mount_points()):
        mount("fusectl", _CONNECTIONS, "fusectl", 0, "")
    (connection / "abort").write_text("1")


def mounts_below(directory: Path) -> list[str]:
    """Return the mount points at or below `directory`, innermost first. Touches none of them."""
    prefix = str(directory)
    points = [one.point for one in mount_points()]
    return [p for p in reversed(points) if p == prefix or p.startswith(prefix + "/")]
