"""`bootseer profile watch`: a start that goes on, stage by stage."""

import time
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.live import Live

from bootseer.cli.profile_output import watch_view
from bootseer.errors import NotFoundError, UsageError
from bootseer.events.reading import read_events
from bootseer.profile.progress import Progress, latest_start, progress_of
from bootseer.profile.spans import Trouble, pair
from bootseer.profile.starts import starts_of

_ROUND_S: Final = 1.0
_FILE_WIDTH: Final = 120
"""Columns where the output is no terminal."""


@click.command("watch", short_help="Watch a start that goes on.")
@click.argument("events", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--job", default="", help="Of this job; default: the start that began last.")
@click.option("--once", is_flag=True, help="Say how things stand, and end.")
def command(events: tuple[Path, ...], job: str, once: bool) -> None:
    """Show how many nodes are through each stage of the newest start, until Ctrl-C.

    EVENTS are files that all nodes write to, or directories of them; they may be there later.
    """
    console = Console(highlight=False)
    if once:
        if not console.is_terminal:
            console.width = _FILE_WIDTH
        console.print(watch_view(_look(events, job)))
        return
    if not console.is_terminal:
        raise UsageError("without --once, this is for a terminal")
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            live.update(watch_view(_look(events, job)), refresh=True)
            time.sleep(_ROUND_S)


def _look(events: tuple[Path, ...], job: str) -> Progress | None:
    """Return how far the newest start has come; None where there is none yet."""
    trouble = Trouble()
    try:
        read = read_events(events)
    except NotFoundError:
        return None
    start = latest_start(starts_of(pair(read.events, trouble), trouble), job)
    return progress_of(start, time.time_ns()) if start else None
