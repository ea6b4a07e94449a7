"""What a command costs: processor time of it and of all that it starts, and time on the clock."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lab.page_cache import drop_caches
from bootseer.errors import HostError


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds."""

    processor: float
    wall: float


def cost_of(
    command: Sequence[str | Path], environment: Mapping[str, str], *, cold: bool = False
) -> Cost:
    """Run a command and return what it cost; `cold`: with nothing in the page cache.

    Raises:
        HostError: it failed.
    """
    return said_by(command, environment, cold=cold)[0]


def said_by(
    command: Sequence[str | Path], environment: Mapping[str, str], *, cold: bool = False
) -> tuple[Cost, str]:
    """Do what `cost_of` does; return as well what the command printed."""
    if cold:
        drop_caches()
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            list(map(str, command)),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace").strip().splitlines()
            raise HostError(f"{command[0]} failed: {said[-1] if said else process.returncode}")
        output.seek(0)
        printed = output.read().decode(errors="replace")
    return Cost(used.ru_utime + used.ru_stime, wall), printed
