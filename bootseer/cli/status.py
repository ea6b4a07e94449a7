"""`bootseer status`: what the daemon does, and how much of what it serves is local."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich.console import Console
from rich.live import Live

from bootseer.cli.config_option import config_option
from bootseer.cli.control import control_socket, fetch_status
from bootseer.cli.status_output import status_view
from bootseer.cli.status_rates import rates
from bootseer.errors import UsageError

_ROUND_S: Final = 1.0
_FILE_WIDTH: Final = 200
"""Columns where the output is no terminal: nothing is cut off."""


@click.command("status", short_help="Show what the daemon does.")
@config_option()
@click.option(
    "--watch",
    is_flag=True,
    help="Show it again every second, with what goes on just now, until Ctrl-C.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config_path: Path, watch: bool, as_json: bool) -> None:
    """Show what is prefetched, recorded and filled, and how much of each layer is local.

    With --watch and --json it is a line of JSON every second. Exit code 6 if the daemon does not
    answer.
    """
    socket = control_socket(config_path)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    if watch and as_json:
        _stream(socket)
    if watch and not console.is_terminal:
        raise UsageError("--watch is for a terminal", hint="or for programs, with --json")
    if watch:
        _watch(console, socket)
    status = asyncio.run(fetch_status(socket))
    if as_json:
        print(json.dumps(status, indent=1))
    else:
        console.print(status_view(status))


def _watch(console: Console, socket: Path) -> NoReturn:
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        for status in _rounds(socket):
            live.update(status_view(status), refresh=True)
    raise AssertionError("rounds never end")


def _stream(socket: Path) -> NoReturn:
    for status in _rounds(socket):
        print(json.dumps(status), flush=True)
    raise AssertionError("rounds never end")


def _rounds(socket: Path) -> Iterator[dict[str, Any]]:
    """Yield the status every second, from the second on with rates since the one before."""
    before: dict[str, Any] | None = None
    while True:
        status = asyncio.run(fetch_status(socket))
        yield status | {"rates": rates(before, status) if before else None}
        before = status
        time.sleep(_ROUND_S)
