"""Cold starts over a limited link: full pull against lazy, in turn."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, median_ratio, spread
from benchmarks.lab import starts
from benchmarks.lab.netns import Network
from benchmarks.lab.registry import Registry
from tooling.progress import doing


def measure(
    net: Network,
    server: Registry,
    reference: str,
    directory: Path,
    command: Sequence[str],
    *,
    name: str,
    stage: str,
    goal: float,
    runs: int,
) -> list[Figure]:
    """Start `command` `runs` times each way, without hot blocks; compare when `stage` ends.

    `goal`: how many times sooner the lazy start has to be.
    """
    results: dict[str, list[starts.Start]] = {starts.EAGER: [], starts.LAZY: []}
    for number in range(runs):
        for snapshotter, done in results.items():
            home = directory / f"n{number}{snapshotter[0]}{stage[0]}"
            with (
                doing(f"{name}: {snapshotter}, run {number + 1} of {runs}"),
                starts.fresh_node(net, home, server.host, starts.UNRECORDED) as node,
            ):
                done.append(starts.start(node, net, server, reference, snapshotter, command))
    seconds = {k: [start.seconds(stage) for start in v] for k, v in results.items()}
    lazy = results[starts.LAZY]
    return [
        Figure(
            f"{name}: full pull / lazy",
            median_ratio(seconds[starts.EAGER], seconds[starts.LAZY]),
            "x",
            goal,
            "higher",
        ),
        *spread(f"{name}: full pull", seconds[starts.EAGER], "s"),
        *spread(f"{name}: lazy", seconds[starts.LAZY], "s"),
        Figure(f"{name}: lazy, fetched", statistics.median(s.bytes for s in lazy) / 1e6, "MB"),
        Figure(f"{name}: lazy, requests", statistics.median(s.requests for s in lazy), "requests"),
        Figure(
            f"{name}: full pull, fetched",
            statistics.median(s.bytes for s in results[starts.EAGER]) / 1e6,
            "MB",
        ),
    ]
