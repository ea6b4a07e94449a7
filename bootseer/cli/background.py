"""A command that goes on in the background once it is ready; until then it is in the foreground."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import click

from bootseer.errors import HostError


def in_background(work: Callable[[Callable[[], None]], None], log: Path) -> bool:
    """Do `work` in a process of its own, and return here when it calls what it is given.

    What it prints before that comes here, and is in the file `log` afterwards. If it ends before,
    this command ends with its exit code. Returns False in that process, when `work` is over.

    Call it where there is one thread. Raises HostError if `log` cannot be written to.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise HostError(f"{log}: {error.strerror}", hint="name another file: --log-file") from error
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _detach()
        work(lambda: _ready(writing, output))
        return False
    os.close(writing)
    os.close(output)
    try:
        if os.read(reading, 1):
            return True
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        os.kill(child, signal.SIGTERM)
        raise
    finally:
        os.close(reading)
    raise click.exceptions.Exit(code if code >= 0 else 128 - code)


def _detach() -> None:
    """Belong to no terminal, and hold no directory."""
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)


def _ready(writing: int, output: int) -> None:
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.write(writing, b"1")
    os.close(writing)
