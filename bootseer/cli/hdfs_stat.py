"""`bootseer hdfs stat`: how a file of a store is laid out."""

import asyncio
import json
from typing import Any

import click

from bootseer.cli.text import size_text
from bootseer.errors import CorruptError, NotFoundError, RemoteError
from fuse_hdfs.files.volume import Settings, Version, Volume
from fuse_hdfs.stores.places import open_store


@click.command("stat")
@click.argument("store")
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(store: str, path: str, as_json: bool) -> None:
    """Show how PATH in STORE is stored: size, stripes, segments, holes."""
    document = describe(asyncio.run(_load(store, path.strip("/"))))
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(f"{path}: {size_text(document['size'])}, {document['kind']}")
    for segment in document["segments"]:
        click.echo(
            f"  {segment['id']}: {segment['units']} units of "
            f"{size_text(document['unit'])} in {segment['stripes']} stripes"
        )


def describe(version: Version) -> dict[str, Any]:
    """Return the document of a version."""
    manifest = version.manifest
    if manifest is None:
        return {"kind": "plain", "size": version.size, "segments": []}
    segments = [
        {"id": segment.id, "stripes": segment.stripes, "units": segment.units}
        for segment in manifest.segments
    ]
    extents = [
        {"segment": extent.segment, "skip": extent.skip, "units": extent.units}
        for extent in manifest.extents
    ]
    size, unit = manifest.size, manifest.unit
    return {"kind": "striped", "size": size, "unit": unit, "segments": segments, "extents": extents}


async def _load(store: str, path: str) -> Version:
    async with open_store(store) as opened:
        volume = Volume(opened, Settings())
        try:
            return await volume.load(path)
        except FileNotFoundError as error:
            raise NotFoundError(f"{path} does not exist in {store}") from error
        except OSError as error:
            if isinstance(error.__cause__, CorruptError):
                raise error.__cause__ from error
            raise RemoteError(f"{path}: {error.strerror}") from error
