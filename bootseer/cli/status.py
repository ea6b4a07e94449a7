"""`bootseer status`: what the daemon serves, and how much of it is local."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from bootseer.cli.config_option import config_option
from bootseer.config import Config, load
from bootseer.errors import HostError

_TIMEOUT_S = 10.0


@click.command("status", short_help="Show what the daemon serves.")
@config_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config_path: Path, as_json: bool) -> None:
    """Show the layers that are served, how much of each is local and what that cost.

    Exit code 6 if the daemon does not answer.
    """
    config = load(config_path) if config_path.exists() else Config()
    status = asyncio.run(fetch(config.run_dir / "control.sock"))
    if as_json:
        print(json.dumps(status, indent=1))
    else:
        show(status)


async def fetch(path: Path) -> dict[str, Any]:
    """Return the daemon's status document. HostError if nobody answers."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.UnixConnector(str(path))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get("http://localhost/v1/status") as answer,
        ):
            document: dict[str, Any] = await answer.json()
            return document
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise HostError(
            f"the snapshotter does not answer on {path}: {error}", hint="bootseer doctor"
        ) from error


def show(status: dict[str, Any]) -> None:
    """Print the status for people."""
    console = Console(highlight=False)
    console.print(
        f"server {status['pid']}, up {status['uptime_s']:.0f} s, "
        f"{len(status['mounted'])} layers mounted, {len(status['layers'])} open:"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("layer", "data MB", "local", "fetched MB", "misses", "verified", "image"):
        table.add_column(title, justify="left" if title in ("layer", "image") else "right")
    for layer in status["layers"]:
        share = layer["chunks_local"] / layer["chunks"] if layer["chunks"] else 1.0
        table.add_row(
            layer["digest"].removeprefix("sha256:")[:12],
            f"{layer['data_bytes'] / 1e6:.1f}",
            f"{share:.0%}",
            f"{layer['fetched_bytes'] / 1e6:.1f}",
            str(layer["demand_misses"]),
            "POISONED" if layer["poisoned"] else ("yes" if layer["verified"] else "chunks"),
            layer["image"],
        )
    console.print(table)
