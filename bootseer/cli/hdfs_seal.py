"""`bootseer hdfs seal`: a striped file as one plain file of its store."""

import asyncio
import json

import click

from bootseer.cli.hdfs_volume import opened_location
from fuse_hdfs.files.sealing import seal


@click.command("seal")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: str, as_json: bool) -> None:
    """Make FILE (STORE//PATH) one plain file, for tools that know nothing of stripes.

    No byte is moved, so the bytes of each stripe must follow each other in the file: a file of one
    stripe, or of no more units than stripes. Others have to be copied, see `export`. Nobody should
    have the file open.
    """
    path, done = asyncio.run(_seal(file))
    if as_json:
        click.echo(json.dumps({"path": path, "sealed": done}))
    else:
        click.echo(f"{path}: {'sealed' if done else 'is a plain file'}")


async def _seal(file: str) -> tuple[str, bool]:
    async with opened_location(file) as (volume, location):
        return location.path, await seal(volume, location.path)
