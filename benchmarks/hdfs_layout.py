"""`scripts/bench hdfs-layout`: what stripe unit and number of stripes bring, one row each.

A cluster as in `scripts/bench hdfs`. Each layout writes a file and reads it from a mount with
nothing in memory, in turn with the others, so that a busy machine is everybody's.
"""

import itertools
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks.figures import Figure, emit
from benchmarks.lab.processes import processor_seconds
from benchmarks.measure.hdfs_place import (
    Amounts,
    HdfsPlace,
    read_file,
    running_place,
    write_file,
)
from bootseer.errors import BootseerError
from tooling.progress import doing, say

_MIB: Final = 1 << 20
_SPEEDS: Final = ("write", "read")


@dataclass(frozen=True, slots=True)
class Layout:
    """One row of the sweep."""

    unit_kib: int
    stripes: int

    def __str__(self) -> str:
        """Return the layout for people."""
        return f"unit {self.unit_kib} KiB, {self.stripes} stripes"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one file took."""

    write: float
    read: float
    """Both in Mbit/s."""
    processor: float
    """Seconds of the mounts' processor time for both."""


def measure(place: HdfsPlace, layout: Layout) -> Cost:
    """Write a file and read it through another mount."""
    with place.mount(stripes=layout.stripes, unit_kib=layout.unit_kib) as mount:
        write = write_file(mount.path / "file", place.size)
        processor = processor_seconds(mount.pid)
    with place.mount(stripes=layout.stripes, unit_kib=layout.unit_kib) as mount:
        read = read_file(mount.path / "file", place.size)
        processor += processor_seconds(mount.pid)
        (mount.path / "file").unlink()
    return Cost(write, read, processor)


def sweep(place: HdfsPlace, layouts: Sequence[Layout]) -> list[Figure]:
    """Measure all layouts in turn; return medians."""
    costs: dict[Layout, list[Cost]] = {layout: [] for layout in layouts}
    with doing("warming up the servers"):
        measure(place, layouts[0])
    for run, layout in itertools.product(range(place.runs), layouts):
        with doing(f"run {run + 1} of {place.runs}: {layout}"):
            costs[layout].append(measure(place, layout))
    found = []
    for layout, done in costs.items():
        write, read = (statistics.median(getattr(c, what) for c in done) for what in _SPEEDS)
        found += [
            Figure(f"{layout}: write", write, "Mbit/s"),
            Figure(f"{layout}: read", read, "Mbit/s"),
            Figure(f"{layout}: CPU", statistics.median(c.processor for c in done), "s"),
        ]
    return found


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option("--runs", default=2, show_default=True, help="Files of each layout.")
@click.option("--size", default=256, show_default=True, help="MiB of each file.")
@click.option("--nodes", default=8, show_default=True, help="DataNodes.")
@click.option("--rate", default=200.0, show_default=True, help="Mbit/s of each DataNode's link.")
@click.option("--unit", multiple=True, default=(1024, 4096, 8192), show_default=True, help="KiB.")
@click.option("--count", multiple=True, default=(4, 8, 16), show_default=True, help="Stripes.")
def main(
    json_file: Path | None,
    runs: int,
    size: int,
    nodes: int,
    rate: float,
    unit: tuple[int, ...],
    count: tuple[int, ...],
) -> None:
    """Write and read a file with every combination of stripe unit and number of stripes."""
    layouts = [Layout(*values) for values in itertools.product(unit, count)]
    try:
        with running_place(nodes, rate, Amounts(runs, size * _MIB, 0)) as place:
            found = sweep(place, layouts)
    except BootseerError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    emit(f"layouts, {nodes} DataNodes, {rate:g} Mbit/s each", found, json_file)


if __name__ == "__main__":
    main()
