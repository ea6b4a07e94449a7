"""`bootseer hdfs mount` and `umount`."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from bootseer import logs
from bootseer.cli.background import in_background
from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.hdfs_volume import volume_settings
from bootseer.cli.mount_options import parse_options
from bootseer.config import Hdfs
from bootseer.errors import HostError, UsageError
from bootseer.events.surroundings import stages_of
from bootseer.hadoop.client import read_client
from bootseer.service_manager import notify
from fuse_hdfs.mount.serve import MountSettings, serve
from fuse_hdfs.mount.unmounting import make_free, resolved, take_away

_LOG: Final = Path("/var/log/bootseer-hdfs.log")
_PUBLISH_S: Final = 90.0
"""For what is open; the mount itself takes up to a minute."""


class _Unseen(click.Path):
    """A path that is not looked at: `click.Path` does, and hangs where a server hangs."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        """Return the path."""
        del param, ctx
        return Path(value)


@click.command("mount")
@click.argument("store")
@click.argument("mountpoint", type=_Unseen())
@click.option("--daemon", is_flag=True, help="Return once it can be used, and serve on.")
@click.option("--wait", is_flag=True, help="Keep trying while the store cannot be reached.")
@click.option("--user", help="Who to be in HDFS; default: HADOOP_USER_NAME, or who runs this.")
@click.option(
    "--hadoop-conf",
    type=click.Path(path_type=Path),
    help="Directory of core-site.xml and hdfs-site.xml; default: HADOOP_CONF_DIR.",
)
@click.option(
    "--log-file",
    type=click.Path(path_type=Path),
    help=f"Where a daemon's log goes; default: {_LOG}.",
)
@click.option(
    "-o", "options", default="", help="Options as mount(8) has them: wait,ro,hdfs_user=x."
)
@config_option("Configuration file; defaults where it does not exist.")
def mount(
    store: str,
    mountpoint: Path,
    daemon: bool,
    wait: bool,
    user: str | None,
    hadoop_conf: Path | None,
    log_file: Path | None,
    options: str,
    config_path: Path,
) -> None:
    """Mount STORE on MOUNTPOINT and serve it until SIGTERM or an unmount.

    Stopping publishes what open files have not published yet. What `-o` says goes before the
    options that say the same.
    """
    asked = parse_options(options)
    config = load_config(asked.config or config_path)
    logs.set_up(config.log.level, config.log.format)
    client = read_client(os.environ, asked.hadoop_conf or hadoop_conf, asked.hdfs_user or user)
    settings = replace(
        mount_settings(config.hdfs),
        run_dir=config.run_dir,
        wait=wait or asked.wait,
        read_only=asked.ro,
        transport=config.hdfs.transport,
        stages=stages_of(os.environ, config.events.path),
        client=client,
    )
    point = _prepared(mountpoint, settings)

    def work(ready: Callable[[], None]) -> None:
        asyncio.run(serve(store, point, settings, ready))

    if not daemon:
        work(lambda: _tell_manager(store))
    elif in_background(work, (asked.log_file or log_file or _LOG).absolute()):
        point.stat()  # it answers


@click.command("umount")
@click.argument("mountpoint", type=_Unseen())
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=_PUBLISH_S,
    show_default=True,
    help="Seconds for publishing what is open; 0: at once, and what was not synced is lost.",
)
@config_option("Configuration file; defaults where it does not exist.")
def umount(mountpoint: Path, timeout: float, config_path: Path) -> None:
    """Unmount MOUNTPOINT, also while it is in use, and when nobody serves it or he hangs.

    Programs that have files open there get errors from then on.
    """
    if not take_away(mountpoint, load_config(config_path).run_dir, timeout):
        click.echo(f"warning: {mountpoint}: taken away from a server that did not end", err=True)


def _prepared(mountpoint: Path, settings: MountSettings) -> Path:
    """Return the mount point, with all that has to be there before something is mounted on it."""
    point = resolved(mountpoint)
    make_free(point, settings.run_dir)
    if not point.is_dir():
        raise UsageError(f"{mountpoint} is no directory")
    try:
        settings.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HostError(f"{settings.spool}: {error.strerror}", hint="set hdfs.spool") from error
    return point


def _tell_manager(store: str) -> None:
    notify(f"READY=1\nSTATUS=serving {store}")


def mount_settings(hdfs: Hdfs) -> MountSettings:
    """Return what the configuration asks for. UsageError if it makes no sense."""
    return MountSettings(
        hdfs.spool.absolute(),
        hdfs.keep,
        volume_settings(hdfs),
        hdfs.read_ahead_kb,
        hdfs.timeout,
        metrics_address=hdfs.metrics_address,
    )
