"""`scripts/bench hdfs`: one writer and one reader of a large file, striped and not.

A NameNode and DataNodes in namespaces of their own, each behind a link of limited speed, on one
machine. The competitor is the same mount with one stripe, which is one file on one DataNode. Each
run writes a file, mounts anew, and reads it; what is written is compared with what is read.
"""

import hashlib
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks.figures import Figure, emit
from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.hdfs import Hdfs, running_hdfs
from benchmarks.lab.hdfs_mount import mounted
from benchmarks.lab.hdfs_network import HdfsNetwork, hdfs_network
from benchmarks.lab.workdir import work_directory
from bootseer.errors import BootseerError, CorruptError
from tooling.progress import doing, say

_PIECE: Final = 4 << 20
_WRITE_GOAL: Final = 0.8
_READ_GOAL: Final = 0.85
"""Shares of the links' sum."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where to measure, and how much."""

    directory: Path
    net: HdfsNetwork
    hdfs: Hdfs
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Megabits a second of one run."""

    write: float
    read: float


def measure(bench: Bench, stripes: int) -> Speed:
    """Write a file with so many stripes, and read it through another mount."""
    settings = (
        f"hdfs: {{stripe_count: {stripes}, cache: 256MiB, ahead: 128MiB, "
        f"spool: {bench.directory / 'spool'}}}\n"
    )
    place = (bench.hdfs.address("", "root"), bench.directory, settings, bench.net.hub.enter)
    block = os.urandom(_PIECE)
    wanted, found = hashlib.blake2b(), hashlib.blake2b()
    with mounted(*place) as point:
        start = time.monotonic()
        with (point / "file").open("wb", 0) as file:
            for number in range(bench.size // _PIECE):
                block = number.to_bytes(8, "little") + block[8:]
                file.write(block)
        written = time.monotonic() - start
    for number in range(bench.size // _PIECE):
        wanted.update(number.to_bytes(8, "little") + block[8:])
    with mounted(*place) as point:
        start = time.monotonic()
        with (point / "file").open("rb", 0) as file:
            while piece := file.read(_PIECE):
                found.update(piece)
        read = time.monotonic() - start
        (point / "file").unlink()
    if found.digest() != wanted.digest():
        raise CorruptError("what was read is not what was written")
    megabits = bench.size * 8 / 1e6
    return Speed(megabits / written, megabits / read)


def figures(striped: list[Speed], plain: list[Speed], total: float) -> list[Figure]:
    """Return medians as shares of the links' sum, and what striping brings."""
    found = []
    for what, goal in (("write", _WRITE_GOAL), ("read", _READ_GOAL)):
        ours = statistics.median(getattr(speed, what) for speed in striped)
        theirs = statistics.median(getattr(speed, what) for speed in plain)
        found += [
            Figure(f"one sequential {what}, striped", ours, "Mbit/s"),
            Figure(f"one sequential {what}, one stripe", theirs, "Mbit/s"),
            Figure(f"{what}, striped, of the links' sum", ours / total, "", goal, "higher"),
            Figure(f"{what}, striped against one stripe", ours / theirs, "x"),
        ]
    return found


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option("--runs", default=3, show_default=True, help="Runs of everything compared.")
@click.option("--nodes", default=8, show_default=True, help="DataNodes.")
@click.option("--rate", default=200.0, show_default=True, help="Mbit/s of each DataNode's link.")
@click.option("--size", default=512, show_default=True, help="MiB of the file.")
def main(json_file: Path | None, runs: int, nodes: int, rate: float, size: int) -> None:
    """Measure one writer and one reader of a striped file against one stripe."""
    try:
        with undo_stack() as stack:
            directory = stack.enter_context(work_directory())
            net = stack.enter_context(hdfs_network(nodes))
            with doing(f"HDFS with {nodes} DataNodes"):
                cluster = running_hdfs(directory / "hdfs", net.hub, net.data_nodes)
                hdfs = stack.enter_context(cluster)
            for number in range(nodes):
                net.set_rate(number, rate)
            bench = Bench(directory, net, hdfs, size << 20)
            striped, plain = [], []
            for _ in range(runs):
                striped.append(measure(bench, nodes))
                plain.append(measure(bench, 1))
    except BootseerError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    emit(
        f"hdfs, {nodes} DataNodes, {rate:g} Mbit/s each",
        figures(striped, plain, nodes * rate),
        json_file,
    )


if __name__ == "__main__":
    main()
