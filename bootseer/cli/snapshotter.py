"""`bootseer snapshotter`: run the daemon, read its metrics."""

import os
import sys
from pathlib import Path

import click

from bootseer.cli.config_option import config_option
from bootseer.cli.control import control_socket, read_metrics
from bootseer.config import load
from snapshotter.serving.preflight import check_directories


@click.group("snapshotter", short_help="Run the snapshotter, or ask it.")
def group() -> None:
    """Run the containerd snapshotter, and read its metrics."""


@group.command("serve")
@config_option()
def serve(config_path: Path) -> None:
    """Serve until stopped (SIGTERM). SIGHUP replaces the server without disturbing containers.

    This process becomes the keeper: it holds the FUSE connection and starts the server, again
    whenever that dies.
    """
    config = load(config_path)
    check_directories(config.root, config.run_dir, config.address.parent)
    server = [sys.executable, "-m", "snapshotter.daemon", "--config", str(config_path.absolute())]
    keeper = [sys.executable, "-m", "snapshotter.blocks.keeper", str(config.root), *server]
    os.execv(keeper[0], keeper)  # noqa: S606  our own interpreter, no shell


@group.command("metrics")
@config_option()
def metrics(config_path: Path) -> None:
    """Print what the daemon counted, as Prometheus reads it (docs/metrics.md).

    Exit code 6 if the daemon does not answer.
    """
    print(read_metrics(control_socket(config_path)), end="")
