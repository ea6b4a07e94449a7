"""What the close of an open file means: it is written, one copy of several goes, or a death.

The kernel tells of every close(2) of every copy of a descriptor: those of children, which close
what they inherited, and of duplicates too, and those of processes that end. It does not say whose
it is. So who opened the file is looked at, in /proc: a process that has it open for writing
elsewhere has not written all of it yet, and one that was killed never will. Where that cannot be
seen (it is gone, not ours to look at, or in a PID namespace that is not below ours) the file counts
as written.

Nothing here touches the mount itself, whose server this is: neither paths in it are resolved nor
what a descriptor leads to.

Race-free: one event loop's thread calls `Openers`; a descriptor leaves its process' table before
the kernel tells of its close. So of two that are closed at the same time at least one does not find
the other.
"""

import asyncio
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LARGEST: Final = 4 << 20
"""Bytes of a file of /proc that are looked at."""
_LOOK_S: Final = 5.0
_STARTED: Final = 19
_ENDED: Final = 49
"""Places among the words of /proc/PID/stat behind the name: time of the start, exit code."""
_SIGNAL: Final = 0x7F
"""Bits of an exit code that are the number of the signal that killed the process."""


class Close(Enum):
    """What the close of a file means."""

    LAST = "last"
    """For who opened it: it is written."""
    COPY = "copy"
    """It goes on being written."""
    DEATH = "death"
    """Who opened it was killed while it was open."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from later ones of its number."""

    number: int
    started: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What /proc/PID/fdinfo says of a descriptor."""

    inode: int
    mount: str
    writes: bool


def parse_group(status: str) -> int | None:
    """Return the process that a thread is of, from its `status`. Pure."""
    for line in status.splitlines():
        word, _, value = line.partition(":")
        if word == "Tgid" and value.strip().isdecimal():
            return int(value)
    return None


def parse_start(stat: str) -> str | None:
    """Return when a process started, from its `stat`. Pure."""
    words = _words(stat)
    return words[_STARTED] if len(words) > _STARTED else None


def is_killed(stat: str) -> bool:
    """Say whether a process is ending because of a signal, from its `stat`. Pure."""
    words = _words(stat)
    code = words[_ENDED] if len(words) > _ENDED else ""
    return code.isdecimal() and int(code) & _SIGNAL != 0


def parse_descriptor(fdinfo: str) -> Descriptor | None:
    """Return what a `fdinfo` says. Pure."""
    found = dict(line.split(":\t", 1) for line in fdinfo.splitlines() if ":\t" in line)
    try:
        writes = int(found["flags"], 8) & os.O_ACCMODE != os.O_RDONLY
        return Descriptor(int(found["ino"]), found["mnt_id"].strip(), writes)
    except (KeyError, ValueError):
        return None


def parse_device(mountinfo: str, mount: str) -> str | None:
    """Return the device (`major:minor`) of a mount, from a `mountinfo`. Pure."""
    for line in mountinfo.splitlines():
        words = line.split(" ", 3)
        if len(words) == 4 and words[0] == mount:
            return words[2]
    return None


def opener(thread: int) -> Process | None:
    """Return the process of a thread that opens a file; None if that cannot be seen."""
    try:
        group = parse_group(_text(_PROC / str(thread) / "status")) if thread else None
        started = parse_start(_text(_PROC / str(group) / "stat")) if group else None
    except OSError:
        return None
    return Process(group, started) if group and started else None


def close_of(process: Process, inode: int, device: str) -> Close:
    """Return what it means that a copy of a descriptor is closed, whose file a process opened."""
    place = _PROC / str(process.number)
    try:
        stat = _text(place / "stat")
        if parse_start(stat) != process.started:
            return Close.LAST
        if _writes(place, inode, device):
            return Close.COPY
        return Close.DEATH if is_killed(stat) else Close.LAST
    except OSError:
        return Close.LAST


def _writes(place: Path, inode: int, device: str) -> bool:
    for name in os.listdir(place / "fd"):  # noqa: PTH208  (no path is wanted)
        found = _descriptor(place, name)
        if found is None or not found.writes or found.inode != inode:
            continue
        if parse_device(_text(place / "mountinfo"), found.mount) == device:
            return True
    return False


def _descriptor(place: Path, name: str) -> Descriptor | None:
    try:
        target = os.readlink(place / "fd" / name)  # noqa: PTH115  (a text, not a path)
        # Pipes and sockets have no path: what is behind them needs no look.
        return parse_descriptor(_text(place / "fdinfo" / name)) if target[:1] == "/" else None
    except OSError:  # closed meanwhile
        return None


def _words(stat: str) -> list[str]:
    """Return what is behind the name, which may have any characters."""
    return stat.rpartition(")")[2].split()


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LARGEST).decode(errors="surrogateescape")


class Openers:
    """Who opened the handles of a mount through which it is written."""

    def __init__(self) -> None:
        self.device = ""
        """The mount's, `major:minor`; empty as long as that is not known."""
        self._of: dict[int, Process] = {}

    async def opened(self, handle: int, flags: int, thread: int) -> None:
        """Take note of who opens a handle."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            return
        process = await asyncio.to_thread(opener, thread)
        if process is not None:
            self._of[handle] = process

    async def close(self, handle: int, inode: int) -> Close:
        """Return what the close of a copy of a handle means."""
        process = self._of.get(handle)
        if process is None or not self.device:
            return Close.LAST
        try:
            async with asyncio.timeout(_LOOK_S):
                return await asyncio.to_thread(close_of, process, inode, self.device)
        except TimeoutError:
            return Close.LAST

    def released(self, handle: int) -> None:
        """Forget a handle."""
        self._of.pop(handle, None)
