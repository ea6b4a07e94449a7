"""`bootseer hdfs seal`: a striped file as one plain file of its store."""

import asyncio
import json
from pathlib import Path

import click

from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.hdfs_volume import opened_location
from bootseer.config import Hdfs
from fuse_hdfs.files.sealing import seal


@click.command("seal")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option("Configuration file; defaults where it does not exist.")
def command(file: str, as_json: bool, config_path: Path) -> None:
    """Make FILE (STORE//PATH) one plain file, for tools that know nothing of stripes.

    No byte is moved, so the bytes of each stripe must follow each other in the file: a file of one
    stripe, or of no more units than stripes. Others have to be copied, see `export`. Nobody should
    have the file open.
    """
    path, done = asyncio.run(_seal(file, load_config(config_path).hdfs))
    if as_json:
        click.echo(json.dumps({"path": path, "sealed": done}))
    else:
        click.echo(f"{path}: {'sealed' if done else 'is a plain file'}")


async def _seal(file: str, hdfs: Hdfs) -> tuple[str, bool]:
    async with opened_location(file, hdfs) as (volume, location):
        return location.path, await seal(volume, location.path)
