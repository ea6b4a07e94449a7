"""A real registry (the `docker-registry` program) on a free loopback port, with its access log."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.lab.access_log import Request, parse
from snapshotter.registry.settings import ClientSettings

ALONE = ClientSettings(settle=0.05)
"""For a registry that nobody else writes to: a list is looked at again soon."""


@dataclass(slots=True)
class RunningRegistry:
    """Where it listens, and what it was asked."""

    host: str
    """`127.0.0.1:<port>`: spoken to in plain HTTP."""
    log: Path

    def requests(self) -> list[Request]:
        """Return every request answered so far."""
        return list(parse(self.log.read_text(errors="replace").splitlines()))


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_registry(root: Path, *, deletes: bool = False) -> Iterator[RunningRegistry]:
    """Run a registry that keeps its things under `root`; as most do, it removes nothing."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is not installed: scripts/setup --for test"
    root.mkdir(parents=True, exist_ok=True)
    host = f"127.0.0.1:{free_port()}"
    config = root / "registry.json"
    config.write_text(
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "info", "accesslog": {"disabled": False}},
                "storage": {
                    "filesystem": {"rootdirectory": str(root / "storage")},
                    "delete": {"enabled": deletes},
                },
                "http": {"addr": host},
            }
        )
    )
    log = root / "registry.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", str(config)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"OTEL_TRACES_EXPORTER": "none", "PATH": "/usr/bin:/bin"},
        )
    try:
        _wait_until_listening(process, host, log)
        yield RunningRegistry(host, log)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_listening(process: subprocess.Popen[bytes], host: str, log: Path) -> None:
    name, port = host.split(":")
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection((name, int(port)), 1):
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, "the registry does not start"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry for the whole session: every test uses a repository of its own."""
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running
