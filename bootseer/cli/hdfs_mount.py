"""`bootseer hdfs mount` and `umount`."""

import asyncio
from pathlib import Path

import click

from bootseer import kernel, logs
from bootseer.cli.about_image import load_config
from bootseer.cli.config_option import config_option
from bootseer.config import Hdfs
from bootseer.errors import HostError, UsageError
from fuse_hdfs.files.volume import Settings
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.mount.serve import MountSettings, serve


@click.command("mount")
@click.argument("store")
@click.argument("mountpoint", type=click.Path(path_type=Path))
@config_option("Configuration file; defaults where it does not exist.")
def mount(store: str, mountpoint: Path, config_path: Path) -> None:
    """Mount STORE on MOUNTPOINT and serve it until SIGTERM or an unmount.

    Stopping publishes what open files have not published yet.
    """
    config = load_config(config_path)
    logs.set_up(config.log.level, config.log.format)
    settings = mount_settings(config.hdfs)
    if not mountpoint.is_dir():
        raise UsageError(f"{mountpoint} is no directory")
    try:
        settings.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HostError(f"{settings.spool}: {error.strerror}", hint="set hdfs.spool") from error
    asyncio.run(serve(store, mountpoint.absolute(), settings))


@click.command("umount")
@click.argument("mountpoint", type=click.Path(path_type=Path))
def umount(mountpoint: Path) -> None:
    """Unmount MOUNTPOINT, also while it is in use or nobody serves it any more."""
    if not kernel.unmount(str(mountpoint.absolute()), lazy=True):
        raise UsageError(f"nothing is mounted on {mountpoint}")


def mount_settings(hdfs: Hdfs) -> MountSettings:
    """Return what the configuration asks for. UsageError if it makes no sense."""
    return MountSettings(hdfs.spool, volume_settings(hdfs), hdfs.read_ahead_kb, hdfs.timeout)


def volume_settings(hdfs: Hdfs) -> Settings:
    """Return how files are written and read. UsageError if it makes no sense."""
    if hdfs.stripe_unit & (hdfs.stripe_unit - 1):
        raise UsageError(f"hdfs.stripe_unit: {hdfs.stripe_unit} is no power of two")
    striping = Striping(hdfs.stripe_unit, hdfs.stripe_count)
    return Settings(striping, hdfs.small, hdfs.cache, hdfs.ahead)
