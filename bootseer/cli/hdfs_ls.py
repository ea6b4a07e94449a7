"""`bootseer hdfs ls`: what a directory of a volume holds."""

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.hdfs_volume import opened_location
from bootseer.cli.text import printable, size_text
from bootseer.config import Hdfs
from fuse_hdfs.files.version import Entry
from fuse_hdfs.files.volume import Volume


@dataclass(frozen=True, slots=True)
class Row:
    """One line."""

    path: str
    kind: str
    """`directory`, `plain` or `striped`."""
    size: int
    mode: str
    modified_ns: int


@click.command("ls")
@click.argument("directory")
@click.option("--recursive", "-r", is_flag=True, help="List directories below it too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option("Configuration file; defaults where it does not exist.")
def command(directory: str, recursive: bool, as_json: bool, config_path: Path) -> None:
    """List a file or directory of a volume (STORE//PATH)."""
    rows = asyncio.run(_list(directory, load_config(config_path).hdfs, recursive=recursive))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=1))
        return
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.modified_ns / 1e9))
        name = printable(row.path.encode(errors="surrogateescape"))
        size = "" if row.kind == "directory" else size_text(row.size)
        slash = "/" if row.kind == "directory" else ""
        click.echo(f"{row.mode}  {row.kind:<9}  {size:>9}  {when}  {name}{slash}")


async def _list(text: str, hdfs: Hdfs, *, recursive: bool) -> list[Row]:
    async with opened_location(text, hdfs) as (volume, location):
        entry = await volume.stat(location.path)
        if not entry.status.directory:
            return [_row(location.path, entry)]
        return await _inside(volume, location.path, recursive=recursive)


async def _inside(volume: Volume, directory: str, *, recursive: bool) -> list[Row]:
    rows, waiting = [], [directory]
    while waiting:
        above = waiting.pop()
        for entry in sorted(await volume.list(above), key=lambda one: one.status.name):
            path = f"{above}/{entry.status.name}" if above else entry.status.name
            rows.append(_row(path, entry))
            if recursive and entry.status.directory:
                waiting.append(path)
    return sorted(rows, key=lambda row: row.path)


def _row(path: str, entry: Entry) -> Row:
    status = entry.status
    kind = "directory" if status.directory else "striped" if entry.striped else "plain"
    return Row(path, kind, entry.size, f"{status.mode:04o}", status.modified_ns)
