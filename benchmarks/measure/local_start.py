"""Starts with everything local and the page cache cold: Bootseer against overlayfs on ext4.

The time of overlayfs is also the least that any start of this command can take on this machine.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Figure, median_ratio, spread
from benchmarks.lab import starts
from benchmarks.lab.netns import Network
from benchmarks.lab.page_cache import drop_caches
from benchmarks.lab.starts import Node
from benchmarks.measure.trees import alternate, mounted, read_everything
from bootseer.errors import HostError
from snapshotter.blocks.names import Role
from snapshotter.serving.layout import MountId
from tooling.progress import doing

if TYPE_CHECKING:
    from benchmarks.lab.timeline import Event

_CHECKED_S: Final = 300.0
_POLL_S: Final = 0.2
_GOAL: Final = 1.1


@dataclass(frozen=True, slots=True)
class LocalStarts:
    """Seconds from creating a container to the end of its work, in runs made in turn."""

    bootseer: Sequence[float]
    overlayfs: Sequence[float]
    layout: str
    """From which layout Bootseer's read: `hot` or `natural`."""

    def figures(self) -> list[Figure]:
        """Return them compared, and each with its spread."""
        cold = f"all local ({self.layout} layout), page cache cold"
        return [
            Figure(
                f"{cold}: ours / overlayfs on ext4",
                median_ratio(self.bootseer, self.overlayfs),
                "x",
                _GOAL,
            ),
            *spread(f"{cold}: ours", self.bootseer, "s"),
            *spread(f"{cold}: overlayfs on ext4", self.overlayfs, "s"),
        ]


def measure(
    network: Network,
    directory: Path,
    registry_host: str,
    reference: str,
    command: Sequence[str],
    runs: int,
) -> LocalStarts:
    """Start `command` `runs` times each way on a node that has all of the image. `HostError`."""
    with local_node(network, directory, registry_host, reference) as node:
        for snapshotter in (starts.LAZY, starts.EAGER):  # what a first start alone does
            seconds(node, reference, snapshotter, command)
        with doing(f"starting {runs} times each way, all local, page cache dropped"):
            ours, theirs = alternate(
                lambda: seconds(node, reference, starts.LAZY, command),
                lambda: seconds(node, reference, starts.EAGER, command),
                runs,
            )
            mounts = [MountId.parse(mount) for mount in starts.status(node)["mounted"]]
    hot = any(mount.variant.role is Role.HOT for mount in mounts)
    return LocalStarts(ours, theirs, "hot" if hot else "natural")


@contextlib.contextmanager
def local_node(
    network: Network, directory: Path, registry_host: str, reference: str
) -> Iterator[Node]:
    """Run a node that has an image twice during the block: unpacked for overlayfs, and by Bootseer,
    every layer whole, checked, and mounted from its cache file; in the hot layout if there is one.
    """
    with starts.fresh_node(network, directory, registry_host, starts.UNRECORDED) as node:
        with doing("pulling both ways, reading everything"):
            for snapshotter in (starts.EAGER, starts.LAZY):
                node.containerd.pull(reference, snapshotter=snapshotter)
            with mounted(node, reference, starts.LAZY, directory / "everything") as tree:
                read_everything(tree, ())
            wait_until_checked(node)
            # A layer that became local is mounted without FUSE from its next mount on.
            node.snapshotter.stop(seconds=30)
        with starts.daemon(network, node.config, directory / "bootseer.log") as serving:
            wait_until(lambda: answers(node), "containerd to reach the snapshotter")
            yield replace(node, snapshotter=serving)


def seconds(node: Node, reference: str, snapshotter: str, command: Sequence[str]) -> float:
    """Return how long it takes to create a container and run it to its end, page cache dropped."""
    events: list[Event] = []
    drop_caches()
    starts.create_and_run(node, reference, snapshotter, command, events)
    return events[-1].at - events[0].at


def wait_until_checked(node: Node) -> None:
    """Return once every layer that the node serves is whole and was checked. Raises `HostError`."""

    def checked() -> bool:
        layers = starts.status(node)["layers"]
        return bool(layers) and all(layer["verified"] for layer in layers)

    wait_until(checked, "every layer to be local and checked")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return when the condition holds. Raises `HostError` naming `what` if it does not in time."""
    deadline = time.monotonic() + _CHECKED_S
    while not condition():
        if time.monotonic() > deadline:
            raise HostError(f"waited in vain for {what}")
        time.sleep(_POLL_S)


def answers(node: Node) -> bool:
    """Say whether containerd reaches the snapshotter."""
    try:
        node.containerd.ctr("snapshots", "--snapshotter", starts.LAZY, "ls", seconds=20)
    except HostError:
        return False
    return True
