"""`bootseer hdfs export`: a file of a volume as one plain file."""

import asyncio
import json
from pathlib import Path

import click

from bootseer.cli.byte_progress import byte_progress
from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.hdfs_volume import errors_of, opened_location
from bootseer.cli.text import size_text
from bootseer.config import Hdfs
from bootseer.errors import UsageError
from fuse_hdfs.locations import Location, explicit, is_address
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.transfer.export import export_file
from fuse_hdfs.transfer.stored import StoredFiles


@click.command("export")
@click.argument("file")
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option("Configuration file; defaults where it does not exist.")
def command(file: str, target: str, as_json: bool, config_path: Path) -> None:
    """Copy FILE (STORE//PATH) to TARGET (STORE//PATH) as one plain file.

    Any tool can read TARGET. In HDFS its parts are written to several DataNodes at the same time
    and joined; parts that are whole are kept when it is cut off, and not written again. For a file
    of this machine see `cp`.
    """
    if not is_address(target):
        raise UsageError(f"{target!r} is no address", hint="bootseer hdfs cp")
    place = explicit(target)
    if place is None or not place.path:
        raise UsageError(f"{target!r} is no file of a store", hint="STORE//PATH")
    size, there = asyncio.run(_export(file, place, load_config(config_path).hdfs))
    if as_json:
        click.echo(json.dumps({"bytes": size, "resumed": there}))
    else:
        before = f", {size_text(there)} of it before" if there else ""
        click.echo(f"{place.path}: {size_text(size)}{before}")


async def _export(file: str, place: Location, hdfs: Hdfs) -> tuple[int, int]:
    async with (
        opened_location(file, hdfs) as (volume, location),
        open_store(place.store, hdfs.timeout, transport=hdfs.transport) as target,
    ):
        source = await StoredFiles(volume).source(location.path)
        with byte_progress("exporting", source.about.size) as moved, errors_of(place.store):
            return source.about.size, await export_file(source, target, place.path, moved)
