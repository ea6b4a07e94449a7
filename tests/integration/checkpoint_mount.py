"""A mount of `bootseer hdfs mount`, in a process of its own."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bootseer import kernel

CONFIG = """\
log: {{level: info}}
hdfs:
  stripe_unit: 64KiB
  stripe_count: 4
  small: 128KiB
  cache: 16MiB
  ahead: 4MiB
  timeout: 15
  send_again: 90
  spool: {spool}
"""


class Mount:
    """A running mount."""

    def __init__(self, store: str, directory: Path, text: str, enter: Sequence[str]) -> None:
        self.store = store
        self.enter = enter
        self.path = directory / "mnt"
        self.log = directory / "mount.log"
        self.spool = directory / "spool"
        self.config = directory / "bootseer.yaml"
        for made in (self.path, self.spool):
            made.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text.format(spool=self.spool))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Mount, and wait until it can be used."""
        command = [sys.executable, "-m", "bootseer", "hdfs", "mount", self.store, str(self.path)]
        with self.log.open("ab") as log:
            argv = [*self.enter, *command, "--config", str(self.config)]
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not os.path.ismount(self.path):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        """Stop as systemd would; return the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        """Kill the process, and take away what it leaves mounted."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)
        kernel.unmount(str(self.path), lazy=True)


@contextlib.contextmanager
def checkpoint_mount(
    store: str, directory: Path, text: str = CONFIG, enter: Sequence[str] = ()
) -> Iterator[Mount]:
    """Mount a store for the length of the block; nothing that it logged is a bug."""
    mount = Mount(store, directory, text, enter)
    mount.start()
    try:
        yield mount
    except BaseException:
        print(mount.log.read_text())  # pytest shows it with the failure
        raise
    finally:
        try:
            mount.stop()
        finally:
            mount.kill()
    said = mount.log.read_text()
    assert "mount.bug" not in said, said
    assert "Traceback" not in said, said


def until(right: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what comes about by itself; an I/O error is not yet."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if right():
                return
        assert time.monotonic() < deadline
        time.sleep(0.2)
