"""A mount of `bootseer hdfs mount` for measurements, in a process of its own."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.errors import HostError

_START_S: Final = 30.0
_STOP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Mounted:
    """A mount, and the process that serves it."""

    path: Path
    pid: int


@contextlib.contextmanager
def mounted(
    store: str, directory: Path, settings: str, enter: Sequence[str] = ()
) -> Iterator[Mounted]:
    """Mount a store below `directory` with these settings (YAML); it is gone with its caches after.

    `enter`: what comes before the command, which must not leave a process of its own.
    HostError if that fails; the mount's log is `mount.log` in `directory`.
    """
    point, log = directory / "mnt", directory / "mount.log"
    point.mkdir(exist_ok=True)
    config = directory / "bootseer.yaml"
    config.write_text(settings)
    command = [sys.executable, "-m", "bootseer", "hdfs", "mount", store, str(point)]
    with log.open("ab") as output:
        argv = [*enter, *command, "--config", str(config)]
        process = subprocess.Popen(argv, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START_S
        while not os.path.ismount(point):
            if process.poll() is not None or time.monotonic() > deadline:
                raise HostError(f"the mount does not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield Mounted(point, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)
