"""Hot blocks in the laboratory: a start that was recorded, and the pack that is made of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab.cli import bootseer
from benchmarks.lab.netns import Ends
from benchmarks.lab.registry import Registry
from benchmarks.lab.starts import Node, status
from bootseer.errors import HostError

PACKING: Final = (
    "hot:\n  record: always\n  quiet: 3\nfill:\n  rate: 1000000000\n  after: 1\n"
    "cache:\n  check_after: 1\n  unused_free: 0\n  least_free: 0\n"
)
"""Settings of a node that records starts and packs what they touch: that has to be there as a
whole, and checked, though the container has ended."""
_HANDED_ON_S = 60.0


def end_recordings(node: Node) -> None:
    """Remove the node's containers, which ends the recordings of their starts, and wait until what
    was recorded is published. Raises `HostError`.
    """
    for container in node.containerd.ctr("containers", "list", "--quiet").split():
        node.containerd.ctr("containers", "rm", container)
    node.snapshotter.wait_until(lambda: not status(node)["hot"]["recordings"], seconds=_HANDED_ON_S)


@dataclass(frozen=True, slots=True)
class Published:
    """What an image's registry has of its hot blocks."""

    manifest_digest: str
    records: tuple[str, ...]
    """Digests of their artifacts."""
    packs: tuple[str, ...]
    """Likewise, newest first."""


def published(network: Ends, reference: str) -> Published:
    """Ask an image's registry for what it has of its hot blocks. Raises `HostError`."""
    listed = bootseer(network.in_registry(), "hot", "ls", reference, "--plain-http", "--json")
    document = json.loads(listed)
    stored = document["stored"]
    records, packs = (
        tuple(one["digest"] for one in stored if one["kind"] == kind)
        for kind in ("records", "pack")
    )
    return Published(document["manifest"], records, packs)


def pack_file(registry: Registry, published: Published) -> Path:
    """Return the file in which a registry keeps the newest pack. Raises `HostError`."""
    if not published.packs:
        raise HostError("no pack was published")
    artifact = json.loads(registry.blob(published.packs[0]).read_text())
    return registry.blob(artifact["layers"][0]["digest"])


def make_pack(network: Ends, reference: str) -> None:
    """Make and publish an image's pack, as a build machine would. Raises `HostError`."""
    bootseer(network.in_registry(), "hot", "pack", reference, "--plain-http")
