"""A command of the user's, run as if nothing were between them: output, signals, exit code."""

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

_SUBREAPER: Final = 36
_FORWARDED: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FROM_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends these to the command as well."""
_POLL_S: Final = 0.05
ALIVE_S: Final = 5.0
"""Seconds between two calls of `Step.alive`."""
_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
"""What a shell returns for a command that it cannot start."""
STILL_RUNNING: Final = "processes of the command go on; what they write is not kept"
ORPHANS_S: Final = 5.0
"""Seconds that what a command left running may go on before its changes are looked at."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command with what it runs in."""

    command: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    alive: Callable[[], None] = field(default=lambda: None)
    """Called now and then while the command runs."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    """As a shell says it: 128 and the signal's number after a signal."""
    seconds: float
    left_running: bool = False
    """Whether processes of it go on."""


def run_plain(step: Step) -> Ran:
    """Run a command, and wait for what it leaves running as well, though not for ever."""
    began = time.monotonic()
    adopt_orphans()
    try:
        process = subprocess.Popen(list(step.command), cwd=step.cwd, env=dict(step.environment))
    except OSError as error:
        return Ran(cannot_start(step.command[0], error.errno or 0), time.monotonic() - began)
    code = wait_for(process, step.alive)
    seconds = time.monotonic() - began
    return Ran(code, seconds, not wait_for_orphans(ORPHANS_S))


def cannot_start(program: str, number: int) -> int:
    """Say what a shell says where a program cannot be started; return the exit code."""
    said = "command not found" if number == errno.ENOENT else os.strerror(number)
    os.write(2, f"{program}: {said}\n".encode("utf-8", "surrogateescape"))
    return _NOT_FOUND if number == errno.ENOENT else _NOT_EXECUTABLE


def wait_for(process: "subprocess.Popen[bytes]", alive: Callable[[], None]) -> int:
    """Return a process' exit code, passing on the signals that we get meanwhile."""
    with _passing_on(process):
        while True:
            try:
                code = process.wait(ALIVE_S)
            except subprocess.TimeoutExpired:
                alive()
            else:
                return code if code >= 0 else 128 - code


def adopt_orphans() -> None:
    """Become the parent of what our children leave running, so that it can be waited for."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def wait_for_orphans(patience: float) -> bool:
    """Wait for adopted processes; say whether all ended within `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)


@contextlib.contextmanager
def _passing_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    def forward(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    def ignore(_number: int, _frame: FrameType | None) -> None:
        return

    # Functions, not SIG_IGN, which the command would inherit.
    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    before |= {number: signal.signal(number, ignore) for number in _FROM_TERMINAL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
