"""`bootseer hdfs cp`: files into volumes, out of them and between them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import click

from bootseer.cli.byte_progress import byte_progress
from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.hdfs_volume import errors_of, opened_volume
from bootseer.cli.text import size_text
from bootseer.config import Hdfs
from bootseer.errors import UsageError
from fuse_hdfs.locations import is_address, locate
from fuse_hdfs.transfer.local import LocalFiles
from fuse_hdfs.transfer.stored import StoredFiles
from fuse_hdfs.transfer.trees import End, Report, carry_out, joined, plan


@click.command("cp")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("--recursive", "-r", is_flag=True, help="Copy directories with what is in them.")
@click.option("--again", is_flag=True, help="Copy also what is there with the same size and time.")
@click.option("--verify", is_flag=True, help="Read every copy and its source again, and compare.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option("Configuration file; defaults where it does not exist.")
def command(
    sources: tuple[str, ...],
    target: str,
    recursive: bool,
    again: bool,
    verify: bool,
    as_json: bool,
    config_path: Path,
) -> None:
    """Copy SOURCE to TARGET: files and directories of this machine, or of a volume (STORE//PATH).

    New files in a volume are striped. Modes and times are kept; a file that is there with the same
    size and time is left alone, and a large one that was cut off is gone on with. Checksums of what
    is read from a volume are always compared. A directory alone is copied to TARGET itself, not
    below it, also where that is there: saying the same again goes on.
    """
    hdfs = load_config(config_path).hdfs
    options = {"recursive": recursive, "again": again, "verify": verify}
    report = asyncio.run(_copy(sources, target, hdfs, **options))
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    there = f", {report.there} were there" if report.there else ""
    resumed = f", {size_text(report.resumed)} of it before" if report.resumed else ""
    click.echo(f"{report.files} files copied, {size_text(report.bytes)}{resumed}{there}")


async def _copy(
    sources: Sequence[str],
    target: str,
    hdfs: Hdfs,
    *,
    recursive: bool,
    again: bool,
    verify: bool,
) -> Report:
    async with AsyncExitStack() as stack:
        into = await stack.enter_async_context(_end(target, hdfs))
        with errors_of(target):
            about = await into.files.about(into.path)
        inside = about is not None and about.directory
        if len(sources) > 1 and not inside:
            raise UsageError(f"{target} is no directory, and there are several sources")
        plans = []
        for text in sources:
            source = await stack.enter_async_context(_end(text, hdfs))
            with errors_of(text):
                found = await source.files.about(source.path)
            if found is not None and found.directory and not recursive:
                raise UsageError(f"{text} is a directory", hint="--recursive")
            name = source.path.rpartition("/")[2]
            alone = len(sources) == 1 and found is not None and found.directory
            with errors_of(text):
                place = into / name if inside and name and not alone else into
                plans.append(await plan(source, place, again=again))
        whole = joined(plans)
        with byte_progress("copying", whole.size) as moved, errors_of(target):
            return await carry_out(whole, moved, verify=verify)


@contextlib.asynccontextmanager
async def _end(text: str, hdfs: Hdfs) -> AsyncIterator[End]:
    """Open what a text names."""
    if not is_address(text):
        yield End(LocalFiles(), str(Path(text).absolute()).lstrip("/"))
        return
    location = await locate(text, hdfs.transport)
    async with opened_volume(location.store, hdfs) as volume:
        yield End(StoredFiles(volume), location.path)
