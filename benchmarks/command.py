"""The command line of a benchmark that is made of parts."""

import sys
from collections.abc import Callable, Collection
from pathlib import Path

import click

from benchmarks.figures import Figure, emit
from bootseer.errors import BootseerError
from tooling.progress import say


def bench_command(
    title: str,
    described: str,
    parts: Collection[str],
    run: Callable[[int, tuple[str, ...]], list[Figure]],
) -> click.Command:
    """Return the command that runs all or some parts, prints the figures and writes them.

    `run` takes how often everything compared is run, and the parts.
    """

    @click.command(help=described)
    @click.option(
        "--json", "json_file", type=click.Path(path_type=Path), help="Write figures here."
    )
    @click.option("--runs", default=3, show_default=True, help="Runs of everything compared.")
    @click.option("--only", type=click.Choice(list(parts)), multiple=True, help="Only these parts.")
    def command(json_file: Path | None, runs: int, only: tuple[str, ...]) -> None:
        try:
            figures = run(runs, only or tuple(parts))
        except BootseerError as error:
            say(f"error: {error}")
            sys.exit(error.exit_code)
        emit(title, figures, json_file)

    return command
