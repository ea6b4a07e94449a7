"""`bootseer debug`: what helps others to help."""

import asyncio
import time
from pathlib import Path

import click

from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.control import fetch_status, read_metrics
from bootseer.debug.bundle import known_secrets, write_bundle
from bootseer.debug.parts import Daemon, parts_of
from bootseer.errors import UsageError


@click.group("debug", short_help="Collect what helps others to help.")
def group() -> None:
    """Collect what helps others to help."""


@group.command("bundle")
@config_option("Configuration file; defaults where it does not exist.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The archive; default: bootseer-debug-TIME.tar.gz here.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the daemon's log, in place of the journal (any number).",
)
def bundle(config_path: Path, output: Path | None, logs: tuple[Path, ...]) -> None:
    """Write an archive with configuration, status, metrics, log, mounts and versions.

    Secrets are removed: credentials of registries wherever they turn up, and what looks like one.
    Images' names and addresses stay. What cannot be had says so in its place.
    """
    config = load_config(config_path)
    control = config.run_dir / "control.sock"
    daemon = Daemon(lambda: asyncio.run(fetch_status(control)), lambda: read_metrics(control))
    path = output or Path(time.strftime("bootseer-debug-%Y%m%d-%H%M%S.tar.gz"))
    try:
        write_bundle(path, parts_of(config, config_path, logs, daemon), known_secrets(config))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="choose another file") from error
    click.echo(str(path))
