"""`bootseer snapshotter`: run the daemon, read its metrics."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from bootseer.cli.config_option import config_option
from bootseer.cli.control import control_socket, read_metrics
from bootseer.cli.replacing import replace_server
from bootseer.config import load
from snapshotter.serving.preflight import check_directories


@click.group("snapshotter", short_help="Run the snapshotter, or ask it.")
def group() -> None:
    """Run the containerd snapshotter, and read its metrics."""


@group.command("serve")
@config_option()
def serve(config_path: Path) -> None:
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


@group.command("upgrade")
@config_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def upgrade(config_path: Path, as_json: bool) -> None:
    """Put the program that is installed now in the place of the one that serves.

    Containers go on: a read that comes in between waits for the new server. If that one cannot be
    started, the old one goes on, with exit code 6.
    """
    done = replace_server(load(config_path).run_dir / "control.sock")
    if as_json:
        print(json.dumps(asdict(done)))
        return
    print(f"server {done.old} ({done.old_version}) replaced by {done.new} ({done.new_version})")


@group.command("metrics")
@config_option()
def metrics(config_path: Path) -> None:
    """Print what the daemon counted, as Prometheus reads it (docs/metrics.md).

    Exit code 6 if the daemon does not answer.
    """
    print(read_metrics(control_socket(config_path)), end="")
