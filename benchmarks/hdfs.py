"""`scripts/bench hdfs`: striped files in HDFS through a mount, against plain ones.

A NameNode and DataNodes in namespaces of their own on one machine, each DataNode behind a link of
limited speed, which part `unlimited` takes away. Servers are warmed up before anything is measured;
every mount begins with nothing in memory; all that is read is compared with what was written.
DataNodes close files as docs/striping.md advises; with `--stock` as Hadoop is shipped.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from benchmarks.figures import Figure, emit
from benchmarks.measure import (
    hdfs_memory,
    hdfs_slow,
    hdfs_small,
    hdfs_streams,
    hdfs_torch,
    hdfs_unlimited,
)
from benchmarks.measure.hdfs_place import Amounts, HdfsPlace, running_place
from benchmarks.parts import measured
from bootseer.errors import BootseerError
from tooling.progress import doing, say

_MIB: Final = 1 << 20
_QUICK: Final = (1, 128, 100)
_WHOLE: Final = (3, 512, 1000)
"""Runs, MiB of a large file, number of small files."""


def _unlimited(place: HdfsPlace, rate: float) -> list[Figure]:
    place.set_rates(None)
    try:
        return hdfs_unlimited.measure(place)
    finally:
        place.set_rates(rate)


PARTS: Final[dict[str, Callable[[HdfsPlace, float], list[Figure]]]] = {
    "streams": hdfs_streams.measure,
    "torch": lambda place, _: hdfs_torch.measure(replace(place, size=2 * place.size)),
    "slow": hdfs_slow.measure,
    "small": lambda place, _: hdfs_small.measure(place),
    "memory": lambda place, _: hdfs_memory.measure(place),
    "unlimited": _unlimited,
}


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option("--only", type=click.Choice(list(PARTS)), multiple=True, help="Only these parts.")
@click.option("--quick", is_flag=True, help="One run of everything, with less data.")
@click.option("--runs", type=int, help="Runs of everything compared; 3 without --quick.")
@click.option("--nodes", default=8, show_default=True, help="DataNodes.")
@click.option("--rate", default=200.0, show_default=True, help="Mbit/s of each DataNode's link.")
@click.option("--stock", is_flag=True, help="DataNodes that close files as Hadoop is shipped.")
def main(
    json_file: Path | None,
    only: tuple[str, ...],
    quick: bool,
    runs: int | None,
    nodes: int,
    rate: float,
    stock: bool,
) -> None:
    """Measure striped files: one reader, one writer, many files, trouble, memory."""
    usual, size, files = _QUICK if quick else _WHOLE
    try:
        amounts = Amounts(runs or usual, size * _MIB, files)
        with running_place(nodes, rate, amounts, stock=stock) as place:
            found: list[Figure] = []
            for part in only or PARTS:
                with doing(f"measuring: {part}"):
                    found += measured(part, partial(PARTS[part], place, rate))
    except BootseerError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    emit(f"hdfs, {nodes} DataNodes, {rate:g} Mbit/s each", found, json_file)


if __name__ == "__main__":
    main()
