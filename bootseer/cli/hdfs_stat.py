"""`bootseer hdfs stat`: how a file of a volume is laid out, and where its bytes are."""

import asyncio
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.hdfs_volume import opened_location
from bootseer.cli.text import printable, size_text
from bootseer.config import Hdfs
from fuse_hdfs.files.version import Version
from fuse_hdfs.files.whereabouts import Part, parts_of


@click.command("stat")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option("Configuration file; defaults where it does not exist.")
def command(file: str, as_json: bool, config_path: Path) -> None:
    """Show how FILE (STORE//PATH) is stored: size, stripes, segments, holes, machines."""
    document = asyncio.run(_describe(file, load_config(config_path).hdfs))
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        _show(document)


def describe(path: str, version: Version, parts: list[Part]) -> dict[str, Any]:
    """Return the document of a version of the file at `path`."""
    manifest = version.manifest
    status = version.entry.status
    document: dict[str, Any] = {
        "path": path,
        "kind": "plain" if manifest is None else "striped",
        "size": version.size,
        "mode": f"{status.mode:04o}",
        "modified_ns": status.modified_ns,
    }
    if manifest is None:
        return document | {"segments": [], "parts": [asdict(part) for part in parts]}
    rest = iter(parts)
    segments = [
        {
            "id": segment.id,
            "stripes": segment.stripes,
            "units": segment.units,
            "parts": [asdict(next(rest)) for _ in range(segment.stripes)],
        }
        for segment in manifest.segments
    ]
    extents = [asdict(extent) for extent in manifest.extents]
    return document | {"unit": manifest.unit, "segments": segments, "extents": extents}


async def _describe(file: str, hdfs: Hdfs) -> dict[str, Any]:
    async with opened_location(file, hdfs) as (volume, location):
        version = await volume.load(location.path)
        parts = await parts_of(volume, location.path, version)
    return describe(location.path, version, parts)


def _show(document: dict[str, Any]) -> None:
    name = printable(document["path"].encode(errors="surrogateescape"))
    click.echo(f"{name}: {size_text(document['size'])}, {document['kind']}")
    for segment in document["segments"]:
        click.echo(
            f"  {segment['id']}: {segment['units']} units of "
            f"{size_text(document['unit'])} in {segment['stripes']} stripes"
        )
        for number, part in enumerate(segment["parts"]):
            click.echo(f"    {number:>3}  {_part_text(part)}")
    for part in document.get("parts", ()):
        click.echo(f"  {_part_text(part)}")


def _part_text(part: dict[str, Any]) -> str:
    if part["missing"]:
        return "missing"
    copies = Counter(place for block in part["blocks"] for place in block["places"])
    where = ", ".join(f"{place} ({count})" for place, count in sorted(copies.items()))
    return f"{size_text(part['size']):>9}  {where}".rstrip()
