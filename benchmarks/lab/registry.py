"""A registry in the lab's registry namespace: Debian's docker-registry (the CNCF distribution)."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.lab.access_log import Request, parse
from benchmarks.lab.netns import REGISTRY_ADDRESS, Ends
from benchmarks.lab.service import Service, service
from bootseer.errors import HostError

PORT: Final = 5000


@dataclass(slots=True)
class Registry:
    """A running registry. `host` is how clients inside either namespace name it."""

    host: str
    running: Service
    storage: Path
    _seen: int = 0

    def requests(self) -> list[Request]:
        """Return every request answered so far."""
        return list(parse(self.running.log.read_text(errors="replace").splitlines()))

    def new_requests(self) -> list[Request]:
        """Return the requests answered since this was asked last."""
        every = self.requests()
        seen, self._seen = self._seen, len(every)
        return every[seen:]

    def served_files(self) -> Iterator[Path]:
        """Yield what it has in memory once it has served it: its blobs, and the program itself."""
        yield from (path for path in self.storage.rglob("data") if path.is_file())
        yield Path(f"/proc/{self.running.process.pid}/exe")

    def blob(self, digest: str) -> Path:
        """Return the file that holds a blob."""
        algorithm, hexadecimal = digest.split(":")
        blobs = self.storage / "docker" / "registry" / "v2" / "blobs"
        return blobs / algorithm / hexadecimal[:2] / hexadecimal / "data"


def registry_config(storage: Path, address: str) -> dict[str, Any]:
    """Return the registry's configuration (as JSON it is valid YAML too)."""
    return {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }


@contextlib.contextmanager
def registry(network: Ends, root: Path, *, storage: Path | None = None) -> Iterator[Registry]:
    """Run a registry during the block. `root` gets its log, configuration and, unless `storage`
    names another place, its contents. Raises `HostError`.
    """
    program = shutil.which("docker-registry")
    if program is None:
        raise HostError("docker-registry is not installed", hint="scripts/setup --for demo")
    root.mkdir(parents=True, exist_ok=True)
    host = f"{REGISTRY_ADDRESS}:{PORT}"
    config = root / "registry.yml"
    config.write_text(json.dumps(registry_config(storage or root / "storage", host)))
    argv = network.in_registry([program, "serve", str(config)])
    # No tracing exporter: it would look for a collector that is not there.
    env = {"OTEL_TRACES_EXPORTER": "none"}
    with service("docker-registry", argv, root / "registry.log", env=env) as running:
        running.wait_until(lambda: "listening on" in running.log.read_text(errors="replace"))
        yield Registry(host, running, storage or root / "storage")
