"""Snapshots that the daemon mounts: how soon they are there, and how fast the first start is.

The first start is an import of everything, in a fresh process, with nothing in the page cache but
what putting the snapshot into place has read. It is compared with the same on the environment as
pip left it, on this disk.
"""

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab.hotblocks import PACKING
from benchmarks.lab.service import service
from benchmarks.measure.commands import Cost, cost_of, said_by
from benchmarks.measure.deps_set import PackageSet
from bootseer import kernel
from bootseer.errors import HostError

_SECONDS: Final = re.compile(r"mounted \d+ entries in ([0-9.]+) s")
IMPORT_NAMES: Final[Mapping[str, str]] = {"scikit-learn": "sklearn"}
_PACK_S: Final = 300.0
RECORDS: Final = "hot:\n  layout: natural\n"
"""Of a node that brings what was recorded, but by no pack."""
RECORDED: Final = "hot:\n  record: always\n  prefetch: false\n  pack: never\n"
"""As a start is that nobody has recorded yet."""
NEVER: Final = "hot:\n  record: never\n  prefetch: false\n"


@dataclass(frozen=True, slots=True)
class Start:
    """One start."""

    ready: float
    """Seconds from asking until it was mounted; 0 where nothing was."""
    put: Cost
    """Of the command that puts the snapshot into place."""
    first: Cost
    """Of the first import."""


def import_all(packages: PackageSet) -> tuple[str, ...]:
    """Return the command that imports everything that was asked for."""
    names = ", ".join(IMPORT_NAMES.get(name, name) for name in packages.names)
    return (str(packages.venv / "bin/python"), "-c", f"import {names}")


@contextlib.contextmanager
def daemon(directory: Path, settings: str = "") -> Iterator[Path]:
    """Run a node's daemon that has nothing yet; give its socket."""
    directory.mkdir()
    config = directory / "bootseer.yaml"
    config.write_text(
        f"root: {directory / 'r'}\nrun_dir: {directory / 'run'}\n"
        f"address: {directory / 's.sock'}\ncontainerd: ''\n{settings}"
    )
    argv = [sys.executable, "-m", "bootseer", "snapshotter", "serve", "--config", str(config)]
    with service("bootseer", argv, directory / "log") as running:
        running.wait_until(lambda: "daemon.serving" in running.log.read_text(errors="replace"))
        yield directory / "run/control.sock"


def pack_hot_blocks(packages: PackageSet, store: Path) -> None:
    """Have a node record a start of a snapshot, and pack what it touched. HostError if not."""
    with (
        daemon(packages.directory / "recorder", PACKING) as socket,
        mounted(packages, store, socket, cold=True),
    ):
        cost_of(import_all(packages), packages.environment())
        deadline = time.monotonic() + _PACK_S
        while not list(store.glob("hot/*/packs/*/*")):
            if time.monotonic() > deadline:
                raise HostError(f"no hot blocks were packed in {store}")
            time.sleep(0.2)


def start_unpacked(packages: PackageSet, store: Path) -> Start:
    """Start on an environment that is in place."""
    put = cost_of(packages.deps(store), packages.environment(), cold=True)
    return Start(0.0, put, cost_of(import_all(packages), packages.environment()))


def start_mounted(packages: PackageSet, store: Path, socket: Path) -> Start:
    """Start on an environment that is mounted; it is unmounted afterwards."""
    with mounted(packages, store, socket, cold=True) as (ready, put):
        return Start(ready, put, cost_of(import_all(packages), packages.environment()))


@contextlib.contextmanager
def mounted(
    packages: PackageSet, store: Path, socket: Path, *, cold: bool
) -> Iterator[tuple[float, Cost]]:
    """Have the snapshot mounted; give the seconds that took, and what the whole command cost.

    `cold`: with nothing in the page cache. HostError if it is not mounted.
    """
    command = packages.deps(store, "--restore", "mount", "--daemon", str(socket))
    cost, said = said_by(command, packages.environment(), cold=cold)
    found = _SECONDS.search(said)
    if found is None:
        raise HostError(f"nothing was mounted: {said.strip()}")
    try:
        yield float(found[1]), cost
    finally:
        while kernel.unmount(str(packages.venv), lazy=True):
            pass
