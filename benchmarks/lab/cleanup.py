"""Undoing: in reverse order, whatever happens, and not cut short by a second Ctrl-C.

What can outlive the process that made it is found again by its name: mounts by the directory they
are below, containers by the cgroup they are in.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MNT_DETACH: Final = 2
_POLL: Final = 0.02


class _Ears:
    """Turns the first stop signal into SystemExit(128 + n) and is deaf from then on."""

    def __init__(self) -> None:
        self.deaf = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.deaf:
            print("cleaning up, please wait", file=sys.stderr)
            return
        self.deaf = True
        raise SystemExit(128 + number)


@contextlib.contextmanager
def undo_stack() -> Iterator[contextlib.ExitStack]:
    """Give an exit stack that is closed on every way out: end, error, SIGINT, SIGTERM, SIGHUP.

    Once closing has begun, further signals are only answered with a line. Main thread only.
    """
    ears = _Ears()
    before = {number: signal.signal(number, ears) for number in _SIGNALS}
    stack = contextlib.ExitStack()
    try:
        yield stack
    finally:
        ears.deaf = True
        try:
            stack.close()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One line of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    path: Path
    fs_type: str
    minor: int


def mounts_below(mountinfo: str, root: Path) -> list[MountPoint]:
    """Return the mounts at or below `root`, in the order in which they can be unmounted."""
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        path = Path(fields[4].encode().decode("unicode_escape"))
        if path == root or root in path.parents:
            fs_type = fields[fields.index("-") + 1]
            found.append(MountPoint(path, fs_type, int(fields[2].split(":")[1])))
    return found[::-1]  # later mounts lie on top of or inside of earlier ones


def unmount_below(root: Path) -> None:
    """Unmount everything at or below `root`, FUSE connections without a server included."""
    mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    mounts = mounts_below(mountinfo, root.resolve())
    for mount in mounts:
        if mount.fs_type.split(".")[0] == "fuse":
            # Or unmounting waits for a server that is gone.
            with contextlib.suppress(OSError):
                Path(f"/sys/fs/fuse/connections/{mount.minor}/abort").write_text("1")
    libc = ctypes.CDLL(None, use_errno=True)
    for mount in mounts:
        libc.umount2(os.fsencode(mount.path), _MNT_DETACH)


def in_cgroup(marker: str, proc: Path = Path("/proc")) -> list[int]:
    """Return the processes in a cgroup with a path component that is `marker` or `marker-...`."""
    found = []
    for directory in proc.iterdir():
        if not directory.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            lines = (directory / "cgroup").read_text().splitlines()
            components = (part for line in lines for part in line.split(":", 2)[2].split("/"))
            if any(part == marker or part.startswith(f"{marker}-") for part in components):
                found.append(int(directory.name))
    return found


def kill_all(find: Callable[[], Iterable[int]], *, seconds: float = 5.0) -> bool:
    """Send SIGKILL to what `find` returns until it returns nothing; say whether it worked out."""
    deadline = time.monotonic() + seconds
    while pids := list(find()):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True
