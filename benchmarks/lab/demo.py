"""The demo: one image, one slow link, three ways to start a container from it, side by side.

`./scripts/demo` builds the demo image once and runs a PyTorch training step from it;
`./scripts/demo REF -- COMMAND...` does the same with any image that skopeo can copy.
"""

import contextlib
import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from benchmarks.images.demo import demo_image
from benchmarks.lab import chart, hotblocks, starts
from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.cli import bootseer
from benchmarks.lab.netns import DEFAULT_RATE, Network, network
from benchmarks.lab.registry import Registry, registry
from benchmarks.lab.workdir import work_directory
from bootseer.errors import BootseerError, HostError
from tooling.places import cache_dir
from tooling.progress import doing, say

_TRANSPORTS: Final = frozenset({"docker", "docker-archive", "oci", "oci-archive", "dir"})
"""What may stand before the colon of a skopeo name; anything else is a registry reference."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: an image as an OCI layout on disk, and a command in it."""

    layout: str
    """As skopeo names it: `oci:DIR:NAME`."""
    title: str
    command: tuple[str, ...]


def demo_job() -> Job:
    """Return the demo's own job; builds its image the first time (minutes)."""
    with doing("the demo image (built once, kept for the next run)"):
        image = demo_image(say)
    return Job(f"oci:{image.layout}:demo", "Debian + numpy + PyTorch, one step", image.command)


def own_job(reference: str, command: Sequence[str]) -> Job:
    """Return a job with the user's image, copied into the cache by skopeo."""
    named = reference.partition(":")[0] in _TRANSPORTS
    source = reference if named else f"docker://{reference}"
    layout = cache_dir() / "images" / f"own-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    if not (layout / "index.json").exists():
        with doing(f"copying {reference}"):
            skopeo(["copy", "--quiet", source, f"oci:{layout}:own"])
    return Job(f"oci:{layout}:own", reference, tuple(command))


def skopeo(arguments: Sequence[str], prefix: Sequence[str] = ()) -> None:
    """Run skopeo. HostError with what it said."""
    done = subprocess.run(
        [*prefix, "skopeo", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HostError(f"skopeo {arguments[0]} failed: {done.stderr.strip()[-400:]}")


def publish(job: Job, net: Network, host: str, name: str = "demo") -> str:
    """Push the image and its index into the lab's registry; return its reference there."""
    reference = f"{host}/{name}:latest"
    with doing("pushing the image to a registry of our own"):
        target = ["--dest-tls-verify=false", job.layout, f"docker://{reference}"]
        skopeo(["copy", "--quiet", *target], net.in_registry())
    with doing("indexing it (bootseer image index)"):
        index(net.in_registry(), reference)
    return reference


def index(prefix: Sequence[str], reference: str) -> None:
    """Run `bootseer image index`. HostError with what it said."""
    bootseer(prefix, "image", "index", "--plain-http", reference)


def compare(
    job: Job, net: Network, server: Registry, reference: str, directory: Path, rate: float
) -> list[starts.Start]:
    """Start the container in three ways, each on a node that is new: from a full pull; lazily,
    which is recorded by itself; and with the hot blocks of that record in a pack.

    The third is missing where the start touches too little to be recorded.
    """

    def measured(node: starts.Node, snapshotter: str, title: str) -> starts.Start:
        with doing(f"{title}: pull, start, work over {rate:g} Mbit/s"):
            return starts.start(node, net, server, reference, snapshotter, job.command, title=title)

    with starts.fresh_node(net, directory / "f", server.host) as node:
        results = [measured(node, starts.EAGER, "full pull")]
    with starts.fresh_node(net, directory / "l", server.host) as node:
        results.append(measured(node, starts.LAZY, "lazy"))
        with doing("publishing what that start touched"):
            hotblocks.end_recordings(node)
    if not hotblocks.published(net, reference).records:
        say("That start touches too little to be recorded, so there is no third run.")
        return results
    with doing("packing these hot blocks (bootseer hot pack)"):
        hotblocks.make_pack(net, reference)
    with starts.fresh_node(net, directory / "h", server.host) as node:
        results.append(measured(node, starts.LAZY, "lazy, hot blocks"))
    return results


def show(job: Job, results: Sequence[starts.Start], rate: float, console: Console) -> None:
    """Print the timelines and what went over the link."""
    console.print(f"\n[bold]{job.title}[/] over {rate:g} Mbit/s\n")
    chart.print_chart(console, [result.run for result in results])
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for result in results:
        table.add_column(result.run.name, justify="right")
    rows: list[tuple[str, Callable[[starts.Start], str]]] = [
        ("MB from the registry", lambda r: f"{r.bytes / 1e6:.1f}"),
        ("requests", lambda r: str(r.requests)),
        ("first output after", lambda r: f"{r.seconds('first output'):.1f} s"),
        ("work done after", lambda r: f"{r.seconds('work'):.1f} s"),
    ]
    for title, cell in rows:
        table.add_row(title, *(cell(result) for result in results))
    console.print()
    console.print(table)
    console.print(f"\n{summary(results[0], results[-1])}")


def summary(full: starts.Start, best: starts.Start) -> str:
    """Return what a full pull and the best start compare to, in one sentence."""
    times = full.seconds("work") / best.seconds("work")
    compared = f"[bold]{times:.1f}x[/] sooner" if times >= 1 else f"{1 / times:.1f}x later"
    return (
        f"Done {compared}, with {best.bytes / 1e6:.0f} MB instead of"
        f" {full.bytes / 1e6:.0f} MB over the link."
    )


def keep(job: Job, net: Network, server: Registry, reference: str, directory: Path) -> None:
    """Leave a node running until Ctrl-C, and say how to poke at it."""
    with starts.fresh_node(net, directory / "k", server.host) as node:
        pull = ["images", "pull", "--hosts-dir", str(node.containerd.certs)]
        commands = {
            "pull lazily": [*pull, "--snapshotter", starts.LAZY, reference],
            "run": [
                "run",
                "--rm",
                "-t",
                "--snapshotter",
                starts.LAZY,
                reference,
                "x",
                *job.command,
            ],
        }
        say("\nStill running, until Ctrl-C. In another terminal:")
        for title, arguments in commands.items():
            say(f"  {title}:\n    {' '.join(node.containerd.ctr_command(*arguments))}")
        say(f"  look:\n    {sys.executable} -m bootseer status --config {node.config}")
        say(f"  logs:\n    tail -f {node.snapshotter.log}")
        signal.pause()


@click.command()
@click.option("--rate", default=DEFAULT_RATE, show_default=True, help="Link speed, Mbit/s.")
@click.option("--keep", "kept", is_flag=True, help="Leave a node running and say how to use it.")
@click.argument("reference", required=False)
@click.argument("command", nargs=-1)
def main(rate: float, kept: bool, reference: str | None, command: tuple[str, ...]) -> None:
    """Start one container three times over the same link: from a full pull, lazily, and lazily
    with what the second start was seen to touch.
    """
    try:
        run(rate, kept, reference, command)
    except BootseerError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)


def run(rate: float, kept: bool, reference: str | None, command: tuple[str, ...]) -> None:
    """Do it all, and undo it."""
    job = own_job(reference, command) if reference else demo_job()
    with undo_stack() as stack:
        directory = stack.enter_context(work_directory())
        net = stack.enter_context(network(None))
        server = stack.enter_context(registry(net, directory / "registry"))
        name = publish(job, net, server.host)
        net.set_rate(rate)
        show(job, compare(job, net, server, name, directory, rate), rate, Console())
        if kept:
            with contextlib.suppress(KeyboardInterrupt):
                keep(job, net, server, name, directory)


if __name__ == "__main__":
    main()
