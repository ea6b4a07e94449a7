"""`bootseer snapshotter serve`: run the daemon."""

import os
import sys
from pathlib import Path

import click

from bootseer.cli.config_option import config_option
from bootseer.config import load
from snapshotter.serving.preflight import check_directories


@click.command("serve")
@config_option()
def command(config_path: Path) -> None:
    """Serve until stopped (SIGTERM). SIGHUP replaces keeper and server: see `upgrade`.

    This process becomes the keeper: it holds the FUSE connection and starts the server, again
    whenever that dies.
    """
    config = load(config_path)
    check_directories(config.root, config.run_dir, config.address.parent)
    server = [sys.executable, "-m", "snapshotter.daemon", "--config", str(config_path.absolute())]
    bounds = [f"--unserved={config.fuse.unserved}", f"--standby={config.fuse.standby}"]
    keeper = [sys.executable, "-m", "snapshotter.blocks.keeper", *bounds]
    keeper += [str(config.root), *server]
    os.execv(keeper[0], keeper)  # noqa: S606  our own interpreter, no shell
