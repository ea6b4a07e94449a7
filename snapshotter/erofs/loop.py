"""Read-only loop devices over files, by ioctl (`linux/loop.h`)."""

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bootseer.errors import HostError
from snapshotter.erofs.syscall import host_error

_LOOP_CTL_GET_FREE: Final = 0x4C82
_LOOP_CONFIGURE: Final = 0x4C0A
_LOOP_MAJOR: Final = 7
_LO_FLAGS_READ_ONLY: Final = 1
_LO_FLAGS_AUTOCLEAR: Final = 4
_NO_CONFIGURE: Final = (errno.EINVAL, errno.ENOTTY)
_TRIES: Final = 64
"""Another process may take the free device between the two calls."""


@contextmanager
def loop_device(file: Path) -> Iterator[Path]:
    """Attach a read-only loop device to `file` and yield its node.

    The kernel frees it when the last user goes: after this context, that is whoever mounted it.
    Raises `HostError`.
    """
    backing = _open(file)
    try:
        node, device = _attach(backing, file)
    finally:
        os.close(backing)
    try:
        yield node
    finally:
        os.close(device)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise host_error(error.errno or errno.EIO, f"open {path}") from error


def _attach(backing: int, file: Path) -> tuple[Path, int]:
    control = _open(Path("/dev/loop-control"))
    try:
        for _ in range(_TRIES):
            node = _node(fcntl.ioctl(control, _LOOP_CTL_GET_FREE))
            device = _open(node)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, _configuration(backing, file))
            except OSError as error:
                os.close(device)
                if error.errno == errno.EBUSY:
                    continue
                hint = "needs Linux 5.8 (LOOP_CONFIGURE)" if error.errno in _NO_CONFIGURE else None
                number = error.errno or errno.EIO
                raise host_error(number, f"attach {file} to {node}", hint=hint) from error
            return node, device
    finally:
        os.close(control)
    raise HostError(f"cannot attach {file}: every free loop device was taken by somebody else")


def _node(number: int) -> Path:
    """Return the device node, made if nobody did (a container has no udev)."""
    node = Path(f"/dev/loop{number}")
    if not node.exists():
        os.mknod(node, stat.S_IFBLK | 0o660, os.makedev(_LOOP_MAJOR, number))
    return node


def _configuration(backing: int, file: Path) -> bytes:
    """Return a `struct loop_config`: file descriptor, block size (default), `loop_info64`."""
    info = struct.pack(
        "<5Q4I64s64s32s2Q",
        *(0, 0, 0, 0, 0),
        *(0, 0, 0, _LO_FLAGS_READ_ONLY | _LO_FLAGS_AUTOCLEAR),
        os.fsencode(file)[:63],
        *(b"", b"", 0, 0),
    )
    return struct.pack("<II", backing, 0) + info + bytes(64)
