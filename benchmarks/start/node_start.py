"""One start of the job on one node that has nothing yet, until its first step is over."""

import contextlib
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab import starts
from benchmarks.lab.cleanup import unmount_below
from benchmarks.lab.containerd import write_hosts
from benchmarks.lab.hdfs_mount import Mounted, mounted
from benchmarks.lab.timeline import printed_events
from benchmarks.start import container
from benchmarks.start.place import Place
from benchmarks.start.ways import Image, Packages, Way
from benchmarks.start.workload import Mount
from bootseer.errors import HostError
from bootseer.events.event import Origin
from bootseer.events.sink import FileSink
from bootseer.events.stages import Stages

FIRST_STEP: Final = "first_step done"
_LONGEST_S: Final = 300.0
"""A start that takes longer is given up: what is measured next needs the machine."""
_LOSS_S: Final = 10.0
_END_S: Final = 20.0
_PULL_S: Final = 60.0
_PULL_AGAIN_S: Final = 1.0
_SETTINGS: Final = {
    Image.FULL: "hot:\n  record: never\n",
    Image.LAZY: "hot:\n  record: never\n  prefetch: false\n",
    Image.HOT: "hot:\n  record: never\n",
}


@dataclass(frozen=True, slots=True)
class Who:
    """Which start it is, for events."""

    way: Way
    attempt: int
    node: int

    @property
    def name(self) -> str:
        """The node's name."""
        return f"node-{self.node:02}"

    def variables(self, events: Path) -> dict[str, str]:
        """Return the variables by which all programs of this start say whose their events are."""
        return {
            "BOOTSEER_EVENTS": str(events),
            "BOOTSEER_JOB": f"way {self.way.name}",
            "BOOTSEER_ATTEMPT": str(self.attempt),
            "BOOTSEER_NODE": self.name,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a start went on a node."""

    seconds: float
    """From nothing to the end of the first step."""
    losses: dict[str, float]
    """Of the first step after the checkpoint."""
    bytes: int
    """That came to the node over its link, headers included."""
    mounted: bool
    """The packages came by a mounted snapshot."""
    output: list[str]


@dataclass(frozen=True, slots=True)
class Ready:
    """A node on which nothing has been started yet."""

    place: Place
    node: starts.Node
    who: Who
    directory: Path
    pods: Path
    """With the socket that containers get."""
    events: Path
    mounts: tuple[Mount, ...] = ()
    """Of its container, besides those that all have."""


@contextlib.contextmanager
def ready_node(
    place: Place,
    way: Way,
    attempt: int,
    number: int,
    settings: str | None = None,
    *,
    mirror: str = "",
) -> Iterator[Ready]:
    """Run containerd and Bootseer on a node during the block, with nothing on it. HostError.

    `settings` are of hot blocks, by default those of the way; a `mirror` (host and port) is asked
    before the registry.
    """
    who = Who(way, attempt, number)
    directory = place.directory / f"n{number}"
    events = place.events / way.name
    events.mkdir(exist_ok=True)
    hot = _SETTINGS[way.image] if settings is None else settings
    pods = place.directory / f"pods{number}"  # the daemon wants it before it has a directory
    pods.mkdir(exist_ok=True)
    deps = f"deps:\n  store: {place.snapshots}\n  pods: {pods / 'deps.sock'}\n"
    variables = {name: text for name, text in who.variables(events).items() if "JOB" not in name}
    with starts.fresh_node(
        place.net.ends(number), directory, place.server.host, hot + deps, environment=variables
    ) as node:
        for name in ("out", "hdfs"):
            (directory / name).mkdir(exist_ok=True)
        write_hosts(node.containerd.certs, place.server.host, mirror)
        yield Ready(place, node, who, directory, pods, events)


def remove_node(place: Place, number: int) -> None:
    """Remove what a node has kept, and what is still mounted there."""
    directory = place.directory / f"n{number}"
    unmount_below(directory)
    shutil.rmtree(directory, ignore_errors=True)


def start(
    ready: Ready,
    install: container.Install | None = None,
    meanwhile: Callable[[starts.Node], None] = lambda _node: None,
) -> Outcome:
    """Start the job and end it after its first step. Raises `HostError`.

    `install` is how packages come, if not as the way says; then they may come by pip in the end.
    `meanwhile` is called after the first step, before the job is ended.
    """
    place, way, who = ready.place, ready.who.way, ready.who
    machine = place.net.nodes[who.node]
    variables = who.variables(ready.events)
    stages = _stages(ready)
    before = _bytes_to(place, who.node)
    began = time.time()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        enter = [*machine.enter, "env", *(f"{name}={text}" for name, text in variables.items())]
        settings = f"hdfs:\n  spool: {ready.directory / 'spool'}\n"
        mount = mounted(place.volume, ready.directory / "hdfs", settings, enter)
        mounting = pool.submit(stack.enter_context, mount)
        snapshotter = starts.EAGER if way.image is Image.FULL else starts.LAZY
        reference = place.reference if way.image is not Image.LAZY else place.unrecorded
        with stages.stage("image.pull", image=reference):
            _pull(ready.node, reference, snapshotter)
        checkpoints: Mounted = mounting.result()
        made = container.create(
            place,
            ready.node.containerd,
            reference=reference,
            snapshotter=snapshotter,
            directory=ready.directory,
            pods=ready.pods,
            checkpoint=checkpoints.path / way.checkpoint.value,
            variables=variables,
            events=ready.events,
            install=install or container.install_of(way.packages),
            more=ready.mounts,
        )
        lines, reader = _run_to_first_step(ready.node, made)
        losses = _losses(ready.directory / "out" / "metrics.jsonl", lines)
        meanwhile(ready.node)
        ready.node.containerd.ctr("tasks", "kill", "--signal", "KILL", made)
        reader.join(_END_S)
    ended = next(one.at for one in printed_events(lines) if one.name.startswith(FIRST_STEP))
    got = any("bootseer deps: mounted" in line for line in lines)
    if way.packages is Packages.SNAPSHOT and install is None and not got:
        raise HostError(f"the snapshot was not mounted: {' | '.join(lines[-8:])}")
    received = _bytes_to(place, who.node) - before
    return Outcome(ended - began, losses, received, got, lines)


def _pull(node: starts.Node, reference: str, snapshotter: str) -> None:
    """Pull, again and again while that fails, as kubelets do. HostError if it fails for long."""
    deadline = time.monotonic() + _PULL_S
    while True:
        try:
            node.containerd.pull(reference, snapshotter=snapshotter)
        except HostError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PULL_AGAIN_S)
        else:
            return


def _stages(ready: Ready) -> Stages:
    who = ready.who
    origin = Origin(f"way {who.way.name}", who.attempt, who.name)
    return Stages(origin, FileSink(ready.events, who.name))


def _bytes_to(place: Place, number: int) -> int:
    return place.net.bytes_to(place.net.nodes[number])


def _run_to_first_step(node: starts.Node, name: str) -> tuple[list[str], threading.Thread]:
    """Start a created container; return what it said until its first step was over, and the thread
    that goes on reading until it has ended.
    """
    lines: list[str] = []
    process = subprocess.Popen(
        node.containerd.ctr_command("tasks", "start", name),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    reached = threading.Event()
    reader = threading.Thread(target=_read, args=(process, lines, reached), daemon=True)
    reader.start()
    reached.wait(_LONGEST_S)
    if not any(FIRST_STEP in line for line in lines):
        process.kill()
        raise HostError(f"the job did not come to its first step: {' | '.join(lines[-12:])}")
    return list(lines), reader


def _read(process: "subprocess.Popen[str]", lines: list[str], reached: threading.Event) -> None:
    """Read until the container ends, so that it is never held up."""
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if FIRST_STEP in line:
                reached.set()
    reached.set()


def _losses(metrics: Path, lines: list[str]) -> dict[str, float]:
    """Return what the first step was like, as the job wrote it down. HostError if it did not."""
    deadline = time.monotonic() + _LOSS_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, IndexError):
            found: dict[str, float] = json.loads(metrics.read_text().splitlines()[0])
            return found
        time.sleep(0.05)
    raise HostError(f"the job wrote no losses to {metrics.name}: {' | '.join(lines[-5:])}")
