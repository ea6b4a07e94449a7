"""What goes wrong while a job starts, at a moment of its start, and is put right afterwards."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from benchmarks.start.container import FULL_STORE, Install
from benchmarks.start.node_start import Ready
from benchmarks.start.place import Rates
from benchmarks.start.ways import OURS, Way
from benchmarks.start.workload import Mount
from bootseer.errors import HostError
from bootseer.events.event import Phase
from bootseer.events.reading import read_events
from tooling.progress import say

_AWAY_S: Final = 2.0
"""How long the registry is away."""
_POLL_S: Final = 0.02
_SERVER: Final = re.compile(r"keeper.server_started pid=(\d+)")


class Fault(StrEnum):
    """What happens."""

    REGISTRY_RESTART = "registry-restart"
    """The registry is killed as the pull begins, and is back after two seconds."""
    DATANODE_DIES = "datanode-dies"
    """A DataNode with a part of the checkpoint is killed as the checkpoint begins to be read."""
    SERVER_KILLED = "server-killed"
    """The snapshotter's server is killed as the container begins to run."""
    LINK_TENTH = "link-tenth"
    """The node's link drops to a tenth as the pull begins."""
    STORE_FULL = "store-full"
    """There is no snapshot of the packages, and the store has no room for one."""


def way_of(fault: Fault) -> Way:
    """Return all of ours with a fault, as a way to start. Pure."""
    return replace(OURS, name=f"{OURS.name}+{fault.value}", title=f"ours, {fault.value}")


def install_of(fault: Fault) -> Install:
    """Return how the packages come. Pure."""
    return Install.KEEP if fault is Fault.STORE_FULL else Install.MOUNT


@contextlib.contextmanager
def inflicted(fault: Fault, ready: Ready, rates: Rates) -> Iterator[Ready]:
    """Give the node that is to start during the block, in which the fault comes to pass.

    The block ends when the fault is over. HostError if its moment never came.
    """
    if fault is Fault.STORE_FULL:
        with _full_store(ready.directory / "full") as store:
            yield replace(ready, mounts=(Mount(store, FULL_STORE, writable=True),))
        return
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(_ACTS[fault], _Scene(ready, rates, over))
        try:
            yield ready
        finally:
            over.set()
            wait([acting])
            if acting.exception() is None:
                _mend(fault, ready, rates)
        acting.result()


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where a fault comes to pass."""

    ready: Ready
    rates: Rates
    over: threading.Event
    """Set when the start has ended: its moments cannot come any more."""

    def wait_for_stage(self, stage: str) -> None:
        """Return when a stage of this start has begun on the node. HostError if it never does."""
        while not _has_begun(self.ready, stage):
            if self.over.wait(_POLL_S):
                raise HostError(f"stage {stage} did not begin")


def _restart_registry(scene: _Scene) -> None:
    scene.wait_for_stage("image.pull")
    server = scene.ready.place.server.running
    server.kill()
    time.sleep(_AWAY_S)
    server.start_again()


def _kill_data_node(scene: _Scene) -> None:
    scene.wait_for_stage("checkpoint_load")
    scene.ready.place.hdfs.servers[0].kill()


def _kill_server(scene: _Scene) -> None:
    scene.wait_for_stage("environment")
    pids = _SERVER.findall(scene.ready.node.snapshotter.log.read_text(errors="replace"))
    os.kill(int(pids[-1]), signal.SIGKILL)


def _slow_link(scene: _Scene) -> None:
    scene.wait_for_stage("image.pull")
    place = scene.ready.place
    place.net.set_rate(place.net.nodes[scene.ready.who.node], (scene.rates.node or _FAST) / 10)


_FAST: Final = 10_000.0
"""Megabits a second that a link without a limit counts as."""
_ACTS: Final[dict[Fault, Callable[[_Scene], None]]] = {
    Fault.REGISTRY_RESTART: _restart_registry,
    Fault.DATANODE_DIES: _kill_data_node,
    Fault.SERVER_KILLED: _kill_server,
    Fault.LINK_TENTH: _slow_link,
}


def _mend(fault: Fault, ready: Ready, rates: Rates) -> None:
    if fault is Fault.LINK_TENTH:
        ready.place.net.set_rate(ready.place.net.nodes[ready.who.node], rates.node)
    if fault is Fault.DATANODE_DIES:
        ready.place.hdfs.start_data_node(0)


def _has_begun(ready: Ready, stage: str) -> bool:
    wanted = (stage, Phase.BEGIN, ready.who.attempt, ready.who.name)
    return any(
        (event.stage, event.phase, event.origin.attempt, event.origin.node) == wanted
        for event in read_events([ready.events]).events
    )


@contextlib.contextmanager
def _full_store(directory: Path) -> Iterator[Path]:
    """Give a directory of a file system without room."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], check=True)
    try:
        with contextlib.suppress(OSError):
            (directory / "filled").write_bytes(bytes(1 << 20))
        yield directory
    finally:
        if subprocess.run(["umount", "--lazy", str(directory)], check=False).returncode:
            say(f"error: {directory} stays mounted")
