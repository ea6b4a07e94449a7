"""`bootseer hdfs fsck`: find damaged files, and remove what killed writers left."""

import asyncio
import json
from dataclasses import asdict

import click

from bootseer.cli.text import printable
from bootseer.errors import CorruptError, RemoteError
from fuse_hdfs.files.fsck import Report, check_volume, remove_orphans
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.stores.places import open_store


@click.command("fsck")
@click.argument("store")
@click.option("--contents", is_flag=True, help="Read every byte and compare checksums.")
@click.option("--repair", is_flag=True, help="Remove what no file names and is old enough.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=86_400.0,
    show_default=True,
    help="Seconds for which what no file names may belong to one that is being written.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(store: str, contents: bool, repair: bool, grace: float, as_json: bool) -> None:
    """Check all files of STORE, and look for stripes that no file names.

    Exit code 5 if a file is damaged. With a damaged manifest nothing is removed: it may be the one
    that names them.
    """
    report, removed = asyncio.run(_check(store, grace, contents=contents, repair=repair))
    if as_json:
        click.echo(json.dumps(asdict(report) | {"removed": removed}, indent=1))
    else:
        _show(report, removed)
    if report.damaged:
        raise CorruptError(f"{len(report.damaged)} of {report.files} files are damaged")


async def _check(
    store: str, grace: float, *, contents: bool, repair: bool
) -> tuple[Report, tuple[str, ...]]:
    async with open_store(store) as opened:
        volume = Volume(opened, Settings())
        try:
            report = await check_volume(volume, grace, contents=contents)
            removed = await remove_orphans(volume, report, grace) if repair else ()
        except OSError as error:
            raise RemoteError(f"{store}: {error.strerror}: {error.filename}") from error
        finally:
            await volume.close()
    return report, removed


def _show(report: Report, removed: tuple[str, ...]) -> None:
    for one in report.damaged:
        click.echo(f"damaged: {printable(one.path.encode(errors='surrogateescape'))}: {one.reason}")
    for path in report.orphans:
        click.echo(f"{'removed' if path in removed else 'left'}: {path}")
    click.echo(f"{report.files} files, {len(report.orphans)} left behind, {report.kept} kept")
