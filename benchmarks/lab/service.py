"""A server program run by the lab: own process group, output in a log file, stopped for certain."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bootseer.errors import HostError

_POLL: Final = 0.02
_TAIL_LINES: Final = 8


class Service:
    """A running program. `log` gets its standard output and error."""

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        """Start it. Raises `HostError` where the program does not exist."""
        self.name = name
        self.log = log
        self._argv = list(argv)
        self._env = None if env is None else {**os.environ, **env}
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        try:
            with self.log.open("ab") as output:
                return subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    start_new_session=True,  # a terminal's Ctrl-C is ours to handle, not its
                )
        except OSError as error:
            raise HostError(
                f"{self.name} cannot be started: {self._argv[0]}: {error.strerror}",
                hint="scripts/setup installs what is missing",
            ) from error

    def kill(self) -> None:
        """Kill the process alone, as the kernel does when memory is short, and wait for its end."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Start it as it was started before: it has ended."""
        self.process = self._start()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Return when `ready()` is true. Raises `HostError` when it ends first or takes longer."""
        deadline = time.monotonic() + seconds
        while not ready():
            status = self.process.poll()
            if status is not None or time.monotonic() > deadline:
                why = "is not ready" if status is None else f"ended with {status}"
                raise HostError(f"{self.name} {why}: {self.tail()}", hint=f"log: {self.log}")
            time.sleep(_POLL)

    def tail(self) -> str:
        """Return the end of the log on one line."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])

    def stop(self, *, seconds: float = 5.0) -> None:
        """Ask the process to end, kill it after `seconds`, and kill what is left of its group."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def service(
    name: str, argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Run a server program during the block. Raises `HostError`."""
    running = Service(name, argv, log, env=env)
    try:
        yield running
    finally:
        running.stop()
