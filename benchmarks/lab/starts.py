"""One cold start of a container on a lab's node: by a full pull, or lazily by Bootseer."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.lab.containerd import Containerd, ProxySnapshotter, containerd
from benchmarks.lab.netns import Ends, Network
from benchmarks.lab.page_cache import drop_all_but
from benchmarks.lab.registry import Registry
from benchmarks.lab.service import Service, service
from benchmarks.lab.timeline import Event, Run, Step, stages
from bootseer.cli.control import fetch_status
from bootseer.errors import HostError

EAGER: Final = "overlayfs"
LAZY: Final = "bootseer"
UNRECORDED: Final = "hot:\n  record: never\n"
"""Settings of a node that leaves containers' reads alone, unless hot blocks of them are known."""
_SERVING: Final = "daemon.serving"
_LONGEST_S: Final = 300.0
"""A container that takes longer is given up: what is measured next needs the machine."""
_SAID_BY_CTR: Final = 'time="'
"""How lines of the log of `ctr` begin, which come between those of the container."""
PLAN: Final = (
    Step("pull", "pull", "pulled"),
    Step("create", "create", "created"),
    Step("first output", "start", "output"),
    Step("work", "output", "done"),
)


@dataclass(frozen=True, slots=True)
class Start:
    """How a start went."""

    run: Run
    output: list[str] = field(repr=False)
    bytes: int
    """From registry to node, headers included."""
    requests: int

    def seconds(self, stage: str) -> float:
        """Return the end of a stage, in seconds since the pull began."""
        found = self.run.stage(stage)
        if found is None:
            raise HostError(f"{self.run.name}: it never came to {stage!r}")
        return found.end


@dataclass(frozen=True, slots=True)
class Node:
    """A node with nothing on it: containerd, and Bootseer beside it."""

    containerd: Containerd
    snapshotter: Service
    root: Path
    """Bootseer's root directory."""
    address: Path
    config: Path


@contextlib.contextmanager
def fresh_node(
    network: Ends,
    directory: Path,
    registry_host: str,
    settings: str = "",
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Node]:
    """Run containerd and Bootseer below `directory` during the block; `settings` is more YAML,
    `environment` is added to the variables of Bootseer.
    """
    directory.mkdir()
    config = directory / "bootseer.yaml"
    root, address = directory / "b", directory / "s.sock"
    config.write_text(
        f"root: {root}\nrun_dir: {directory / 'run'}\naddress: {address}\n"
        f"containerd: {directory / 'c' / 'c.sock'}\n"
        f"registry:\n  config_path: {directory / 'c' / 'certs.d'}\n{settings}"
    )
    (directory / "c").mkdir()
    proxy = ProxySnapshotter(LAZY, address, root)
    with (
        daemon(network, config, directory / "bootseer.log", environment) as serving,
        containerd(network, directory / "c", registry_host=registry_host, proxy=proxy) as running,
    ):
        yield Node(running, serving, root, address, config)


@contextlib.contextmanager
def daemon(
    network: Ends, config: Path, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Run Bootseer on the node with the configuration file `config` during the block."""
    argv = [sys.executable, "-m", "bootseer", "snapshotter", "serve", "--config", str(config)]
    before = log.read_text().count(_SERVING) if log.exists() else 0
    with service("bootseer", network.in_node(argv), log, env=environment) as serving:
        serving.wait_until(lambda: log.read_text().count(_SERVING) > before)
        yield serving


def status(node: Node) -> dict[str, Any]:
    """Return the status document of the node's snapshotter. Raises `HostError`."""
    return asyncio.run(fetch_status(node.config.parent / "run" / "control.sock"))


def start(
    node: Node,
    network: Network,
    registry: Registry,
    reference: str,
    snapshotter: str,
    command: Sequence[str] = (),
    *,
    title: str = "",
) -> Start:
    """Pull an image that the node never saw and run it to its end. Raises `HostError`.

    `title` names the run; by default after the snapshotter.
    """
    drop_all_but(registry.served_files())
    registry.new_requests()
    before = network.bytes_to_node()
    events = [Event("pull", time.time())]
    node.containerd.pull(reference, snapshotter=snapshotter)
    events.append(Event("pulled", time.time()))
    output = create_and_run(node, reference, snapshotter, command, events)
    after = network.bytes_to_node()
    title = title or ("full pull" if snapshotter == EAGER else "bootseer, lazy")
    requests = len(registry.new_requests())
    return Start(stages(title, events, PLAN), output, after - before, requests)


def create_and_run(
    node: Node, reference: str, snapshotter: str, command: Sequence[str], events: list[Event]
) -> list[str]:
    """Run a container of a pulled image to its end, add what happened to `events`; return what it
    printed. Raises `HostError`.
    """
    events.append(Event("create", time.time()))
    name = f"start-{snapshotter}-{time.monotonic_ns()}"
    options = ["--snapshotter", snapshotter]
    node.containerd.ctr("containers", "create", *options, reference, name, *command)
    events.append(Event("created", time.time()))
    return _run(node, name, events)


def _run(node: Node, name: str, events: list[Event]) -> list[str]:
    """Start a created container, note when it first says something and when it ends."""
    events.append(Event("start", time.time()))
    argv = node.containerd.ctr_command("tasks", "start", name)
    lines: list[str] = []
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        late = threading.Timer(_LONGEST_S, process.kill)
        late.start()
        try:
            for line in process.stdout:
                if line.startswith(_SAID_BY_CTR):
                    continue
                if not lines:
                    events.append(Event("output", time.time()))
                lines.append(line.rstrip("\n"))
        finally:
            late.cancel()
    if not lines:
        events.append(Event("output", time.time()))
    events.append(Event("done", time.time()))
    if process.returncode:
        said = " | ".join(lines[-5:])
        raise HostError(f"the container ended with {process.returncode}: {said}")
    return lines
