"""Where starts are measured: machines on a switch, registry, package index, HDFS, one job."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.lab.demo import index as publish_index
from benchmarks.lab.demo import skopeo
from benchmarks.lab.fabric import Fabric, fabric
from benchmarks.lab.hdfs import Hdfs, running_hdfs
from benchmarks.lab.package_index import package_index
from benchmarks.lab.registry import Registry, registry
from benchmarks.start.workload import Workload
from tooling.progress import doing

VOLUME: Final = ""
"""Path in HDFS that nodes mount: its root; in it a directory for each layout of the checkpoint."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Megabits a second each way; None: no limit."""

    node: float | None = None
    """Of each node's link."""
    data_node: float | None = None
    """Of each DataNode's."""
    uplink: float | None = None
    """Of the link that registry, index and NameNode share."""


@dataclass(frozen=True, slots=True)
class Place:
    """All of it, running."""

    directory: Path
    net: Fabric
    server: Registry
    index: str
    """The package index' address."""
    hdfs: Hdfs
    job: Workload
    state: Path
    """What the registry keeps."""
    events: Path
    """A directory for each way, with the events of its starts."""
    wheels: Path = field(repr=False)

    @property
    def reference(self) -> str:
        """The image in the registry."""
        return f"{self.server.host}/{self.job.name}:latest"

    @property
    def unrecorded(self) -> str:
        """The same image, by another name: what is known of its hot blocks is not found by it."""
        return f"{self.server.host}/{self.job.name}-unrecorded:latest"

    @property
    def snapshots(self) -> str:
        """The store of dependency snapshots."""
        return f"oci://{self.server.host}/{self.job.name}-packages"

    @property
    def volume(self) -> str:
        """The address of the checkpoints' volume."""
        return self.hdfs.address(VOLUME, "root")

    def set_rates(self, rates: Rates) -> None:
        """Limit the links."""
        self.net.set_rate(self.net.services, rates.uplink)
        for machine in self.net.nodes:
            self.net.set_rate(machine, rates.node)
        for machine in self.net.data_nodes:
            self.net.set_rate(machine, rates.data_node)

    def served_files(self) -> Iterator[Path]:
        """Yield the files that servers have in memory once they have served them to anybody."""
        for root in (self.state, self.wheels, *self.hdfs.data):
            yield from (path for path in root.rglob("*") if path.is_file())


@contextlib.contextmanager
def place(
    directory: Path,
    job: Workload,
    *,
    nodes: int = 1,
    data_nodes: int = 4,
    state: Path | None = None,
    events: Path | None = None,
) -> Iterator[Place]:
    """Run everything below `directory` during the block, links without limits. HostError.

    `state` is where the registry keeps what it has, for the next time; `events` where the starts'
    events are kept.
    """
    state = state or directory / "state"
    events = events or directory / "events"
    events.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(fabric(nodes, data_nodes))
        server = registry(net.ends(0), directory / "registry", storage=state)
        running = stack.enter_context(server)
        served = directory / "index"
        index = stack.enter_context(package_index(net.services, job.wheels, served))
        with doing(f"HDFS with {data_nodes} DataNodes"):
            cluster = running_hdfs(directory / "hdfs", net.services, net.data_nodes)
            hdfs = stack.enter_context(cluster)
        yield Place(directory, net, running, index, hdfs, job, state, events, served)


def push(place: Place) -> None:
    """Bring the image and its index into the registry, by both names. HostError."""
    enter = place.net.ends(0).in_registry()
    for reference in (place.reference, place.unrecorded):
        target = ["--dest-tls-verify=false", place.job.layout, f"docker://{reference}"]
        skopeo(["copy", "--quiet", *target], enter)
        publish_index(enter, reference)
