"""The kernel's trace of one event, of some files of one file system: tracefs. Blocking.

Nothing of the host's tracing is touched: the event is on in an instance (buffers and settings of
its own) that is ours, and removed afterwards. One that a killed process left is taken over, with
what is in its buffers.

References: Linux `Documentation/trace/ftrace.rst` (instances, `trace_pipe`),
`Documentation/trace/events.rst` (filters).
"""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer import kernel
from bootseer.errors import HostError
from snapshotter.watching.events import EVENT, is_understood

TRACEFS: Final = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
"""Where it is mounted, on nearly every host."""
_BUFFERS_KB: Final = 16 << 10
"""Memory of all buffers; each processor has one of its own."""
_LEAST_KB, _MOST_KB = 128, 1024
"""Of one buffer. An event takes some 50 bytes."""
_CLOCK: Final = "[mono]"
"""As it is listed when it is the one."""
_READ: Final = 64 << 10
_BUSY_S: Final = 3.0
"""How long a process that is just ending may still read."""
_PAUSE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Tracefs:
    """Makes traces of one daemon's block files, one after the other."""

    root: Path
    """The daemon's directory: an instance has its name by it."""
    blocks: Path
    """Where the files' file system is mounted."""
    least_inode: int
    """Of files that are traced."""
    mounted: Sequence[Path] = TRACEFS
    """Where it may be mounted."""

    @property
    def _own(self) -> Path:
        return self.root / "tracing"

    @property
    def _name(self) -> str:
        return f"bootseer-{hashlib.sha256(bytes(self.root)).hexdigest()[:12]}"

    def open(self) -> "Trace":
        """Begin to trace. HostError if the kernel cannot, or does not let us."""
        mount = kernel.find_mount(self.blocks)
        if mount is None:
            raise HostError(f"nothing is mounted on {self.blocks}")
        # A file system without a device has major number 0.
        chosen = f"s_dev == {mount.minor} && i_ino >= {self.least_inode}"
        try:
            return Trace(self.found() / "instances" / self._name, chosen)
        except HostError:
            self.sweep()
            raise

    def sweep(self) -> None:
        """Remove what is left of a trace: of ours that was closed, or of a killed process'."""
        for place in (*self.mounted, self._own):
            remove(place / "instances" / self._name)
        if self._own.is_dir():
            kernel.unmount(str(self._own), lazy=True)
            self._own.rmdir()

    def found(self) -> Path:
        """Return where tracefs is, mounted by us if it is nowhere, until `sweep`.

        Raises:
            HostError: the kernel does not let us, or does not tell of reads.
        """
        places = (*self.mounted, self._own)
        place = next((one for one in places if (one / "events").is_dir()), None) or self._made()
        check_event(place)
        return place

    def _made(self) -> Path:
        try:
            self._own.mkdir(mode=0o700, exist_ok=True)
            flags = kernel.MS_NOSUID | kernel.MS_NODEV
            kernel.mount("tracefs", str(self._own), "tracefs", flags, "")
        except OSError as error:
            raise HostError(f"no tracefs: {error}") from error
        return self._own


def check_event(tracefs: Path) -> None:
    """Raise HostError unless the kernel tells of reads, in words that we know."""
    try:
        described = (tracefs / "events" / EVENT / "format").read_text(encoding="ascii")
    except OSError as error:
        raise HostError(f"the kernel does not trace reads of files: {error}") from error
    if not is_understood(described):
        raise HostError(f"the kernel describes {EVENT} in a way that is not known")


class Trace:
    """Reads of some files. Not for two threads at once."""

    def __init__(self, instance: Path, chosen: str) -> None:
        """Begin. `chosen` is a filter of the event. HostError if the kernel does not let us."""
        self._instance = instance
        try:
            instance.mkdir(exist_ok=True)
            if _CLOCK not in (instance / "trace_clock").read_text(encoding="ascii"):
                # Both empty the buffers: not of one that is taken over.
                self._set("buffer_size_kb", str(buffer_kb(os.cpu_count() or 1)))
                self._set("trace_clock", "mono")
            self._set(f"events/{EVENT}/filter", chosen)
            self._set(f"events/{EVENT}/enable", "1")
            self._set("tracing_on", "1")
            self._pipe = self._open_pipe()
        except OSError as error:
            remove(instance)
            raise HostError(f"cannot trace reads: {error}") from error

    def read(self) -> bytes:
        """Return lines that were not read yet, some 64 KiB of them; nothing: there are none.

        Never waits. OSError if the instance is gone.
        """
        pieces: list[bytes] = []
        with suppress(BlockingIOError):
            while sum(map(len, pieces)) < _READ and (piece := os.read(self._pipe, _READ)):
                pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """End it. What was not read is lost."""
        os.close(self._pipe)
        remove(self._instance)

    def _set(self, name: str, value: str) -> None:
        (self._instance / name).write_text(value, encoding="ascii")

    def _open_pipe(self) -> int:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        deadline = time.monotonic() + _BUSY_S
        while True:
            try:
                return os.open(self._instance / "trace_pipe", flags)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_S)


def remove(instance: Path) -> None:
    """Remove an instance, if it is there and nobody reads it."""
    with suppress(OSError):
        (instance / "events" / EVENT / "enable").write_text("0", encoding="ascii")
        instance.rmdir()


def buffer_kb(processors: int) -> int:
    """Return the size of each processor's buffer, in KiB."""
    return max(_LEAST_KB, min(_MOST_KB, _BUFFERS_KB // processors))
