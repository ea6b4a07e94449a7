"""`scripts/bench readahead`: what the kernel's and our own read-ahead cost and bring at a start.

The demo image's training step, started lazily over a limited link, once for each setting in every
round. Bytes and requests hardly depend on how busy the machine is; seconds do.
"""

import itertools
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, write_json
from benchmarks.images.demo import demo_image
from benchmarks.lab import demo, starts
from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.netns import DEFAULT_RATE, Network, network
from benchmarks.lab.processes import processor_seconds
from benchmarks.lab.registry import Registry, registry
from benchmarks.lab.workdir import work_directory
from bootseer.config import Config
from bootseer.errors import BootseerError
from tooling.progress import doing, say

_NOW: Final = Config()


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the sweep; all in KiB."""

    fuse: int
    erofs: int
    idle: int

    def yaml(self) -> str:
        """Return the setting as configuration."""
        return (
            f"fuse:\n  read_ahead_kb: {self.fuse}\n  erofs_read_ahead_kb: {self.erofs}\n"
            f"fetch:\n  idle: {self.idle}KiB\n{starts.UNRECORDED}"
        )

    def __str__(self) -> str:
        """Return the setting for people."""
        return f"fuse {self.fuse}, erofs {self.erofs}, idle {self.idle} KiB"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one start cost."""

    seconds: float
    """To work done."""
    megabytes: float
    """From registry to node."""
    requests: int
    """To the registry."""
    blocks: int
    """Read requests that the kernel sent to the server."""
    processor: float
    """Seconds of the server's processor time, until the work was done."""


def measure(
    setting: Setting, net: Network, server: Registry, reference: str, job: demo.Job, home: Path
) -> Cost:
    """Start the image on a node that never saw it."""
    with starts.fresh_node(net, home, server.host, setting.yaml()) as node:
        started = starts.start(node, net, server, reference, starts.LAZY, job.command)
        status = starts.status(node)
        return Cost(
            seconds=started.seconds("work"),
            megabytes=started.bytes / 1e6,
            requests=started.requests,
            blocks=sum(status["reads"]["layers"]["reads"].values()),
            processor=processor_seconds(status["pid"]),
        )


def sweep(settings: Sequence[Setting], runs: int, rate: float) -> dict[Setting, list[Cost]]:
    """Measure every setting `runs` times, in turn."""
    with doing("the demo image"):
        image = demo_image(say)
    job = demo.Job(f"oci:{image.layout}:demo", "demo", image.command)
    costs: dict[Setting, list[Cost]] = {setting: [] for setting in settings}
    with undo_stack() as stack:
        directory = stack.enter_context(work_directory())
        net = stack.enter_context(network(None))
        server = stack.enter_context(registry(net, directory / "registry"))
        reference = demo.publish(job, net, server.host)
        net.set_rate(rate)
        for number, (run, setting) in enumerate(itertools.product(range(runs), settings)):
            with doing(f"run {run + 1} of {runs}: {setting}"):
                home = directory / f"n{number}"
                costs[setting].append(measure(setting, net, server, reference, job, home))
    return costs


def show(costs: dict[Setting, list[Cost]]) -> list[Figure]:
    """Print medians, a row a setting; return them as figures."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("FUSE KiB", "EROFS KiB", "idle KiB", "work done s", "MB", "requests", "block reads")
    for title in (*titles, "server CPU s"):
        table.add_column(title, justify="right")
    figures = []
    for setting, done in costs.items():
        values = {
            "s": statistics.median(cost.seconds for cost in done),
            "MB": statistics.median(cost.megabytes for cost in done),
            "requests": statistics.median(cost.requests for cost in done),
            "block reads": statistics.median(cost.blocks for cost in done),
            "CPU s": statistics.median(cost.processor for cost in done),
        }
        row = (setting.fuse, setting.erofs, setting.idle)
        table.add_row(*map(str, row), *(f"{value:.4g}" for value in values.values()))
        figures += [Figure(f"{setting}: {unit}", value, unit) for unit, value in values.items()]
    Console().print(table)
    return figures


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option("--runs", default=1, show_default=True, help="Starts with each setting.")
@click.option("--rate", default=DEFAULT_RATE, show_default=True, help="Link speed, Mbit/s.")
@click.option("--fuse", multiple=True, default=(128, 256, 1024), show_default=True, help="KiB.")
@click.option("--erofs", multiple=True, default=(32, 64, 128), show_default=True, help="KiB.")
@click.option(
    "--idle",
    multiple=True,
    default=(_NOW.fetch.idle >> 10,),
    show_default=True,
    help="KiB fetched behind a miss; several may be given, as of the others.",
)
def main(
    json_file: Path | None,
    runs: int,
    rate: float,
    fuse: tuple[int, ...],
    erofs: tuple[int, ...],
    idle: tuple[int, ...],
) -> None:
    """Start the demo image with every combination of read-ahead settings."""
    settings = [Setting(*values) for values in itertools.product(fuse, erofs, idle)]
    try:
        figures = show(sweep(settings, runs, rate))
    except BootseerError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    if json_file:
        write_json(figures, json_file)


if __name__ == "__main__":
    main()
