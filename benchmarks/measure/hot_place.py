"""Where `scripts/bench hot` measures, and one cold start there with what became of hot blocks."""

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.lab import starts
from benchmarks.lab.netns import Network
from benchmarks.lab.processes import processor_seconds
from benchmarks.lab.registry import Registry
from benchmarks.lab.starts import Node, Start

PLAIN: Final = "hot:\n  record: never\n  prefetch: false\n"
"""Settings of a node that starts lazily and does nothing about hot blocks."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """A start on a node that never saw the image."""

    start: Start
    hot: dict[str, Any] | None
    """What the node says of the image's hot blocks; None if it did not look for any."""
    reads: dict[str, dict[str, int]]
    """Reads of the kernel by what they had to wait for: of `layers`, and of `hot` areas."""
    processor: float
    """Seconds of processor time that the server took until the work was done."""

    @property
    def seconds(self) -> float:
        """From the beginning of the pull until the work was done."""
        return self.start.seconds("work")

    @property
    def seconds_after_pull(self) -> float:
        """From the creation of the container until the work was done."""
        return self.start.seconds("work") - self.start.seconds("pull")

    @property
    def block_reads(self) -> int:
        """Read requests that the kernel sent to the server."""
        return sum(sum(reads.values()) for reads in self.reads.values())

    @property
    def misses(self) -> int:
        """Reads that something was fetched for: chunks of layers, or frames of the pack whose turn
        had not come.
        """
        feed = (self.hot and self.hot["feed"]) or {"rushed": 0}
        return sum(reads["demand"] for reads in self.reads.values()) + int(feed["rushed"])


@dataclass(frozen=True, slots=True)
class Place:
    """A registry and a network; nodes are made as they are needed."""

    directory: Path
    net: Network
    server: Registry
    image: str
    """Name and tag, without the registry's host."""
    command: tuple[str, ...]
    runs: int
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    @property
    def reference(self) -> str:
        """The image in the registry, as it is without a delay."""
        return f"{self.server.host}/{self.image}"

    @contextlib.contextmanager
    def node(self, settings: str, registry: Registry | None = None) -> Iterator[Node]:
        """Run a new node during the block; its files are gone afterwards. Raises `HostError`."""
        home = self.directory / f"n{next(self._numbers)}"
        host = (registry or self.server).host
        try:
            with starts.fresh_node(self.net, home, host, settings) as node:
                yield node
        finally:
            shutil.rmtree(home, ignore_errors=True)

    def start(self, node: Node, registry: Registry | None = None) -> ColdStart:
        """Start the image on a node that never saw it. Raises `HostError`."""
        server = registry or self.server
        reference = f"{server.host}/{self.image}"
        started = starts.start(node, self.net, server, reference, starts.LAZY, self.command)
        status = starts.status(node)
        images = status["hot"]["images"]
        return ColdStart(
            start=started,
            hot=images[0] if images else None,
            reads={part: reads["reads"] for part, reads in status["reads"].items()},
            processor=processor_seconds(status["pid"]),
        )

    def cold_start(self, settings: str, registry: Registry | None = None) -> ColdStart:
        """Start the image on a new node with these settings. Raises `HostError`."""
        with self.node(settings, registry) as node:
            return self.start(node, registry)
