"""`bootseer deps unmount`: directories as they were before a snapshot was mounted over them."""

from pathlib import Path

import click

from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.deps_store import deps_settings
from bootseer.errors import NotFoundError
from depsnap.mounting.daemon import Daemon

_PATIENCE_S = 60.0


@click.command("unmount")
@click.argument("directories", metavar="DIRECTORY...", nargs=-1, required=True)
@click.option("--daemon", envvar="BOOTSEER_DAEMON", help="Socket of the daemon that mounted.")
@config_option("Configuration file; defaults where it does not exist.")
def unmount_command(directories: tuple[str, ...], daemon: str | None, config_path: Path) -> None:
    """Take away mounted snapshots at or below DIRECTORY, with what was written there since."""
    path = Path(daemon or deps_settings(None, load_config(config_path)).daemon)
    roots = [str(Path(one).resolve()) for one in directories]
    done = Daemon(path, _PATIENCE_S).unmount(roots)
    if not done:
        raise NotFoundError("no snapshot is mounted there")
    for one in done:
        click.echo(f"unmounted: {one}")
