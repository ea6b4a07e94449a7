"""Hot blocks in the laboratory: a start that was recorded, and the pack that is made of it."""

import json

from benchmarks.lab.cli import bootseer
from benchmarks.lab.netns import Network
from benchmarks.lab.starts import Node, status

_HANDED_ON_S = 60.0


def end_recordings(node: Node) -> None:
    """Remove the node's containers, which ends the recordings of their starts, and wait until what
    was recorded is published. Raises `HostError`.
    """
    for container in node.containerd.ctr("containers", "list", "--quiet").split():
        node.containerd.ctr("containers", "rm", container)
    node.snapshotter.wait_until(lambda: not status(node)["hot"]["recordings"], seconds=_HANDED_ON_S)


def recorded_starts(network: Network, reference: str) -> int:
    """Return how many records of an image its registry has. Raises `HostError`."""
    listed = bootseer(network.in_registry(), "hot", "ls", reference, "--plain-http", "--json")
    return sum(one["runs"] for one in json.loads(listed)["stored"] if one["kind"] == "records")


def make_pack(network: Network, reference: str) -> None:
    """Make and publish an image's pack, as a build machine would. Raises `HostError`."""
    bootseer(network.in_registry(), "hot", "pack", reference, "--plain-http")
