"""Hadoop's servers and tools as processes: started, killed and waited for; their configuration."""

import contextlib
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from bootseer.errors import HostError

SERVER: Final = "org.apache.hadoop.hdfs.server"
TOOLS: Final = "org.apache.hadoop.hdfs.tools"
_TOOL_S: Final = 120.0
_PORTS: Final = range(10_000, 32_768)
"""Below those of outgoing connections: one of them would take a server's port before it starts."""


class Server:
    """A JVM that can be killed and started again."""

    def __init__(self, argv: list[str], log: Path) -> None:
        """Nothing runs before `start`."""
        self._argv = argv
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The one that runs now, or ran last."""
        if self._process is None:
            raise AssertionError("never started")
        return self._process

    def start(self) -> None:
        """Start it; its log goes on."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._argv, stdout=output, stderr=subprocess.STDOUT)

    def stop(self) -> None:
        """Let it end in order."""
        self.process.terminate()
        self.process.wait(timeout=_TOOL_S)

    def pause(self) -> None:
        """Stop all its threads, until SIGCONT; when this returns it answers nobody."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        while any(_state(task) not in "TtXZ" for task in tasks.iterdir()):
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it, also while it is stopped; it is gone then."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)


def _state(task: Path) -> str:
    """Return the state of a thread, as proc(5) has it; one that has ended counts as stopped."""
    try:
        return (task / "stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return "T"


def run_once(argv: Sequence[str], log: Path) -> None:
    """Run a tool to its end. HostError with the end of its log if it fails."""
    with log.open("ab") as output:
        done = subprocess.run(
            argv, stdout=output, stderr=output, check=False, timeout=_TOOL_S
        ).returncode
    if done:
        raise HostError(f"{argv[-1]} exited with {done}:\n{log.read_text()[-2000:]}")


def write_site(path: Path, properties: Mapping[str, str]) -> None:
    """Write a configuration file."""
    rows = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>\n"
        for name, value in properties.items()
    )
    path.write_text(f"<configuration>\n{rows}</configuration>\n")


def free_port() -> int:
    """Return a port that nobody listens on now, nor is given by the kernel to who connects."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
