"""`bootseer snapshotter metrics`: what the daemon counted."""

from pathlib import Path

import click

from bootseer.cli.config_option import config_option
from bootseer.cli.control import control_socket, read_metrics


@click.command("metrics")
@config_option()
def command(config_path: Path) -> None:
    """Print what the daemon counted, as Prometheus reads it (docs/metrics.md).

    Exit code 6 if the daemon does not answer.
    """
    print(read_metrics(control_socket(config_path)), end="")
