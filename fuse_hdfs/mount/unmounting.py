"""Takes a mount away in whatever state: in use, served by nobody, or by somebody who hangs.

Nothing here touches a file below the mount point, which may hang for ever. Whoever serves the
mount is asked to stop, which publishes what is open. If he does not in time the connection is
aborted: then every call that hangs ends in an error, and the process is killed.
"""

import contextlib
import errno
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bootseer import kernel
from bootseer.errors import HostError, UsageError
from fuse_hdfs.mount.presence import server_of

SUBTYPE: Final = "bootseer-hdfs"
KIND: Final = f"fuse.{SUBTYPE}"
_KILLED_S: Final = 10.0


def take_away(point: Path, run_dir: Path, patience: float) -> bool:
    """Unmount what is mounted on `point`; wait `patience` seconds for it to publish what is open.

    Returns whether that went in order. If not, what was not synced may be lost.

    Raises:
        UsageError: no striped files are mounted there.
        HostError: the kernel does not let us.
    """
    place = resolved(point)
    mounted = kernel.find_mount(place)
    if mounted is None or mounted.kind != KIND:
        raise UsageError(f"no store is mounted on {point}")
    try:
        with _served(run_dir, mounted.minor) as server:
            in_order = server is not None and _asked_to_stop(server, patience)
            if not in_order:
                _give_up(mounted)
            if server is not None and not in_order:
                signal.pidfd_send_signal(server, signal.SIGKILL)
                _ended(server, _KILLED_S)
        if kernel.find_mount(place) == mounted:
            kernel.unmount(str(place), lazy=True)
    except OSError as error:
        raise HostError(f"{point}: {error.strerror}", hint="run it as root") from error
    return in_order


def make_free(point: Path, run_dir: Path) -> None:
    """Take away a mount of ours on `point` that nobody serves any more.

    UsageError if there is one that is served.
    """
    place = resolved(point)
    mounted = kernel.find_mount(place)
    if mounted is None or mounted.kind != KIND:
        return
    with _served(run_dir, mounted.minor) as server:
        try:
            if server is None:
                os.statvfs(place)  # never from a cache: of a connection that is over, an error
        except OSError as error:
            if error.errno in (errno.ENOTCONN, errno.ECONNABORTED):
                kernel.unmount(str(place), lazy=True)
                return
    raise UsageError(f"a store is mounted on {point} already", hint="bootseer hdfs umount")


def resolved(point: Path) -> Path:
    """Return the path of a mount point as the kernel lists it, without looking at itself."""
    whole = Path(os.path.abspath(point))  # noqa: PTH100  (resolve() would look)
    return whole.parent.resolve() / whole.name


def _asked_to_stop(server: int, patience: float) -> bool:
    signal.pidfd_send_signal(server, signal.SIGTERM)
    return _ended(server, patience)


def _ended(server: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(server, select.POLLIN)
    return bool(poll.poll(int(seconds * 1000)))


def _give_up(mounted: kernel.MountPoint) -> None:
    with contextlib.suppress(FileNotFoundError):  # it is over already
        kernel.abort(mounted.connection)


@contextlib.contextmanager
def _served(run_dir: Path, minor: str) -> Iterator[int | None]:
    server = server_of(run_dir, minor)
    try:
        yield server
    finally:
        if server is not None:
            os.close(server)
