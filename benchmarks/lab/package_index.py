"""A package index in the laboratory: directories of wheels, listed as pip wants them (PEP 503)."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.lab.hdfs_network import Machine
from benchmarks.lab.service import service

PORT: Final = 8080


@contextlib.contextmanager
def package_index(machine: Machine, wheels: Path, directory: Path) -> Iterator[str]:
    """Serve the wheels of a directory during the block; give the index' address.

    `directory` is made, on the same file system as the wheels. Raises `HostError`.
    """
    for wheel in wheels.glob("*.whl"):
        place = directory / "simple" / project_of(wheel.name)
        place.mkdir(parents=True, exist_ok=True)
        os.link(wheel, place / wheel.name)
    options = ["--bind", machine.address, "--directory", str(directory), "--protocol", "HTTP/1.1"]
    argv = [*machine.enter, sys.executable, "-u", "-m", "http.server", str(PORT), *options]
    with service("package index", argv, directory / "log") as running:
        running.wait_until(lambda: "Serving HTTP" in running.log.read_text(errors="replace"))
        yield f"http://{machine.address}:{PORT}/simple/"


def project_of(wheel: str) -> str:
    """Return the normalised name of a wheel's project. Pure."""
    return re.sub(r"[-_.]+", "-", wheel.partition("-")[0]).lower()
