"""Hadoop's servers and tools as processes: started, killed and waited for; their configuration."""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from bootseer.errors import HostError

SERVER: Final = "org.apache.hadoop.hdfs.server"
TOOLS: Final = "org.apache.hadoop.hdfs.tools"
_TOOL_S: Final = 120.0


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

    def kill(self) -> None:
        """Kill it, also while it is stopped; it is gone then."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)


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
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
