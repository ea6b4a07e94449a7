"""`bootseer hdfs metrics`: what a mount counted."""

from pathlib import Path

import click

from bootseer import kernel
from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.control import read_metrics
from bootseer.errors import UsageError
from fuse_hdfs.mount.reporting import metrics_socket


@click.command("metrics")
@click.argument("mountpoint", type=click.Path(path_type=Path))
@config_option("Configuration file; defaults where it does not exist.")
def command(mountpoint: Path, config_path: Path) -> None:
    """Print what the mount on MOUNTPOINT counted, as Prometheus reads it."""
    if not mountpoint.is_mount():
        raise UsageError(f"nothing is mounted on {mountpoint}")
    minor = kernel.connection_directory(mountpoint).name
    socket = metrics_socket(load_config(config_path).run_dir, minor)
    click.echo(read_metrics(socket, "the mount"), nl=False)
