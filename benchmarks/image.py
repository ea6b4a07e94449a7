"""`scripts/bench image`: what lazy layers cost and bring, against a full pull and plain ext4.

Everything on one machine, in one run, compared in turn: a registry and a node in network
namespaces, a link of limited speed where it says so, caches dropped before every cold measurement.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.command import bench_command
from benchmarks.figures import Figure, median_ratio, spread
from benchmarks.images.demo import demo_image
from benchmarks.images.oci_layout import layout_manifest
from benchmarks.lab import demo, starts
from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.netns import DEFAULT_RATE, Network, network
from benchmarks.lab.registry import Registry, registry
from benchmarks.lab.workdir import work_directory
from benchmarks.measure import (
    cold_starts,
    indexes,
    inflate,
    local_start,
    memory,
    node_load,
    node_restart,
    trees,
)
from benchmarks.parts import measured
from tooling.progress import doing, say

_LAYERS = 50
_FILES = 4_000
_WORK = ("/bin/sh", "-c", "cat /usr/lib/*/libc* /usr/lib/*/lib[a-e]*.so* | sha256sum")
"""Of each of many containers: some tens of megabytes are read and hashed."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where to measure, and how often."""

    directory: Path
    net: Network
    server: Registry
    reference: str
    job: demo.Job
    blobs: list[Path]
    """The image's layers, compressed, largest first."""
    runs: int
    layers: list[str]
    """Digests of the layers, bottom first."""


def measure_starts(bench: Bench) -> list[Figure]:
    """Start over 200 Mbit/s: to work done, and to the first output of `/bin/true`."""
    bench.net.set_rate(DEFAULT_RATE)
    common = (bench.net, bench.server, bench.reference, bench.directory)
    figures = cold_starts.measure(
        *common,
        bench.job.command,
        name="200 Mbit/s, work done",
        stage="work",
        goal=3.0,
        runs=bench.runs,
    )
    figures += cold_starts.measure(
        *common,
        ("/bin/true",),
        name="200 Mbit/s, /bin/true",
        stage="first output",
        goal=15.0,
        runs=bench.runs,
    )
    bench.net.set_rate(None)
    return figures


def measure_trees(bench: Bench) -> list[Figure]:
    """List and read a mounted image."""
    with fresh_node(bench, "t") as node:
        with doing("pulling both ways"):
            for snapshotter in (starts.EAGER, starts.LAZY):
                node.containerd.pull(bench.reference, snapshotter=snapshotter)
        with (
            trees.mounted(node, bench.reference, starts.LAZY, node.root.parent / "m1") as ours,
            trees.mounted(node, bench.reference, starts.EAGER, node.root.parent / "m2") as theirs,
        ):
            figures = trees.measure_find(ours, theirs, bench.runs)
            return figures + trees.measure_large_file(
                node, ours, theirs, bench.runs, "its chunks cached, its layer not whole"
            )


def measure_local(bench: Bench) -> list[Figure]:
    """Read a large file of a layer that is whole and checked: mounted past the daemon."""
    home = bench.directory / "l"
    with (
        local_start.local_node(bench.net, home, bench.server.host, bench.reference) as node,
        trees.mounted(node, bench.reference, starts.LAZY, home / "m1") as ours,
        trees.mounted(node, bench.reference, starts.EAGER, home / "m2") as theirs,
    ):
        return trees.measure_large_file(node, ours, theirs, bench.runs, "all chunks cached")


def measure_cold_read(bench: Bench) -> list[Figure]:
    """Read everything, nothing cached, no limit on the link, against inflating and hashing."""
    ours, slow, fast = [], [], []
    for number in range(bench.runs):
        with fresh_node(bench, f"r{number}") as node:
            node.containerd.pull(bench.reference, snapshotter=starts.LAZY)
            with (
                trees.mounted(node, bench.reference, starts.LAZY, node.root.parent / "m") as tree,
                doing(f"reading everything, run {number + 1} of {bench.runs}"),
            ):
                seconds, size = trees.read_everything(tree, bench.server.served_files())
                ours.append(size / seconds)
        with doing("inflating and hashing in two threads"):
            slow.append(inflate.speed_of_two_threads(bench.blobs, fast=False))
            fast.append(inflate.speed_of_two_threads(bench.blobs, fast=True))
    return [
        Figure(
            "cold read of everything / two threads inflating and hashing (zlib)",
            median_ratio(ours, slow),
            "x",
            0.7,
            "higher",
        ),
        Figure("the same against ISA-L", median_ratio(ours, fast), "x", None, "higher"),
        *spread("cold read of everything", [v / 1e6 for v in ours], "MB/s"),
        *spread("inflating and hashing, zlib", [v / 1e6 for v in slow], "MB/s"),
        *spread("inflating and hashing, ISA-L", [v / 1e6 for v in fast], "MB/s"),
    ]


def measure_random(bench: Bench) -> list[Figure]:
    """Read at random: through us, and past us once a layer is whole and checked."""
    with fresh_node(bench, "q") as node:
        for snapshotter in (starts.EAGER, starts.LAZY):
            node.containerd.pull(bench.reference, snapshotter=snapshotter)
        with (
            trees.mounted(node, bench.reference, starts.LAZY, node.root.parent / "m1") as ours,
            trees.mounted(node, bench.reference, starts.EAGER, node.root.parent / "m2") as theirs,
        ):
            caches = node.root.glob("l/*/data")
            warm = max(caches, key=lambda path: path.stat().st_size)
            figures = node_load.measure_reads(ours, theirs, bench.runs, node_load.SERVED, warm)
    home = bench.directory / "p"
    with (
        local_start.local_node(bench.net, home, bench.server.host, bench.reference) as node,
        trees.mounted(node, bench.reference, starts.LAZY, home / "m1") as ours,
        trees.mounted(node, bench.reference, starts.EAGER, home / "m2") as theirs,
    ):
        return figures + node_load.measure_reads(ours, theirs, bench.runs, node_load.LOCAL)


def measure_many(bench: Bench) -> list[Figure]:
    """Start fifty containers at once."""
    return node_load.measure_many(site(bench), _WORK)


def measure_prepare(bench: Bench) -> list[Figure]:
    """Time containerd's calls, also while the registry hangs."""
    return node_load.measure_prepare(site(bench), bench.runs)


def measure_idle(bench: Bench) -> list[Figure]:
    """Look at a daemon that has nothing to do."""
    return node_load.measure_idle(site(bench))


def measure_restart(bench: Bench) -> list[Figure]:
    """Start a daemon that knows many images, and kill its server."""
    return node_restart.measure(bench.net, bench.directory / "k", bench.runs)


def site(bench: Bench) -> node_load.Site:
    """Return the laboratory as measurements of a node need it."""
    return node_load.Site(bench.net, bench.directory, bench.server, bench.reference, bench.layers)


def measure_indexes(bench: Bench) -> list[Figure]:
    """Build indexes and weigh them."""
    return indexes.measure_build(bench.blobs[0], bench.runs) + indexes.measure_size(bench.blobs)


def measure_memory(bench: Bench) -> list[Figure]:
    """Weigh the server with many layers and files."""
    layout = memory.many_layers(bench.directory / "many", layers=_LAYERS, files=_FILES)
    job = demo.Job(f"oci:{layout}:many", "many", ())
    reference = demo.publish(job, bench.net, bench.server.host, name="many")
    with fresh_node(bench, "m") as node:
        node.containerd.pull(reference, snapshotter=starts.LAZY)
        with trees.mounted(node, reference, starts.LAZY, node.root.parent / "v") as tree:
            return memory.measure(node, node.snapshotter.process.pid, tree, layers=_LAYERS)


def fresh_node(bench: Bench, name: str) -> AbstractContextManager[starts.Node]:
    """Run a node whose trees are read as they are: what is looked at is no start to be recorded."""
    directory = bench.directory / name
    return starts.fresh_node(bench.net, directory, bench.server.host, starts.UNRECORDED)


PARTS: dict[str, Callable[[Bench], list[Figure]]] = {
    "starts": measure_starts,
    "trees": measure_trees,
    "local": measure_local,
    "cold-read": measure_cold_read,
    "indexes": measure_indexes,
    "memory": measure_memory,
    "many": measure_many,
    "prepare": measure_prepare,
    "idle": measure_idle,
    "restart": measure_restart,
    "random": measure_random,
}


def run(runs: int, parts: tuple[str, ...]) -> list[Figure]:
    """Set the laboratory up, measure, take it down."""
    with doing("the demo image"):
        image = demo_image(say)
    job = demo.Job(f"oci:{image.layout}:demo", "demo", image.command)
    layers = [layer["digest"] for layer in layout_manifest(image.layout)["layers"]]
    blobs = [image.layout / "blobs" / digest.replace(":", "/") for digest in layers]
    blobs.sort(key=lambda path: path.stat().st_size, reverse=True)
    with undo_stack() as stack:
        directory = stack.enter_context(work_directory())
        net = stack.enter_context(network(None))
        server = stack.enter_context(registry(net, directory / "registry"))
        reference = demo.publish(job, net, server.host)
        bench = Bench(directory, net, server, reference, job, blobs, runs, layers)
        found = [measured(part, partial(PARTS[part], bench)) for part in parts]
        return [figure for figures in found for figure in figures]


main = bench_command(
    "image",
    "Measure lazy layers against a full pull and plain ext4.",
    PARTS,
    run,
)

if __name__ == "__main__":
    main()
