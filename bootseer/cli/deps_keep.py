"""`bootseer deps verify`, `rm` and `gc`: looking after a store."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from bootseer.cli.config_option import load_config
from bootseer.cli.deps_store import about_store, deps_settings
from bootseer.cli.text import size_text
from bootseer.errors import CorruptError
from depsnap.snapshots.choosing import chosen, unneeded
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.names import check_job, head_name
from depsnap.snapshots.places import Place, open_store
from depsnap.snapshots.verifying import damaged, drop_damaged
from depsnap.waiting import wait_for_result

_DAY_S: Final = 86_400.0


@click.command("verify")
@click.argument("name")
@click.argument("key", default="")
@about_store
@click.option("--drop", is_flag=True, help="Remove damaged objects, so that they are made anew.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify_command(
    name: str, key: str, store: str | None, config_path: Path, drop: bool, as_json: bool
) -> None:
    """Read every byte of the snapshots of job NAME and compare it with its digest.

    Exit code 5 if something is damaged.
    """
    place = deps_settings(store, load_config(config_path)).store
    found, count = wait_for_result(_verify(place, check_job(name), key, drop=drop))
    if as_json:
        rows = [{"object": one, "reason": reason} for one, reason in found]
        click.echo(json.dumps({"snapshots": count, "damaged": rows, "dropped": drop}, indent=1))
    else:
        for one, reason in found:
            click.echo(f"{'dropped' if drop else 'damaged'}: {one}: {reason}")
        click.echo(f"{count} snapshots, {len(found)} damaged objects")
    if found:
        raise CorruptError(f"{len(found)} objects of {name} are damaged")


@click.command("rm")
@click.argument("name")
@click.argument("key", default="")
@about_store
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rm_command(
    name: str, key: str, store: str | None, config_path: Path, dry_run: bool, as_json: bool
) -> None:
    """Remove the snapshots of job NAME; with the first characters of a KEY, only those.

    What they alone named stays until `bootseer deps gc`.
    """
    place = deps_settings(store, load_config(config_path)).store
    removed = wait_for_result(_remove(place, check_job(name), key, dry_run=dry_run))
    _tell([_name(one) for one in removed], 0, dry_run=dry_run, as_json=as_json)


@click.command("gc")
@about_store
@click.option(
    "--older-than", type=click.FloatRange(min=0), help="Also snapshots made so many days ago."
)
@click.option(
    "--unused-for", type=click.FloatRange(min=0), help="Also snapshots unused for so many days."
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=_DAY_S,
    show_default=True,
    help="Seconds for which what no snapshot names may belong to one that is being published.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gc_command(
    store: str | None,
    config_path: Path,
    older_than: float | None,
    unused_for: float | None,
    grace: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove snapshots that newer ones took the place of, and packs and trees that none names.

    A registry does not keep when a snapshot was used: there --unused-for means --older-than. While
    there are snapshots of another version of bootseer, packs and trees stay; only --older-than
    removes such snapshots.
    """
    place = deps_settings(store, load_config(config_path)).store
    names, size, others = wait_for_result(
        _collect(place, older_than, unused_for, grace, dry_run=dry_run)
    )
    if others:
        click.echo(
            f"{others} snapshots are of another version of bootseer: what they may need stays",
            err=True,
        )
    _tell(names, size, dry_run=dry_run, as_json=as_json)


def _name(stored: Stored) -> str:
    return head_name(stored.head.name, stored.head.key, stored.generation)


def _tell(names: Sequence[str], size: int, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        found: dict[str, Any] = {"removed": list(names), "bytes": size, "dry_run": dry_run}
        click.echo(json.dumps(found, indent=1))
        return
    for one in names:
        click.echo(f"{'would remove' if dry_run else 'removed'}: {one}")
    click.echo(f"{len(names)} objects" + (f", {size_text(size)}" if size else ""))


async def _verify(
    place: Place, name: str, key: str, *, drop: bool
) -> tuple[list[tuple[str, str]], int]:
    async with open_store(place) as store:
        library = Library(store)
        snapshots = chosen(await library.all(name), name, key)
        found: dict[str, str] = {}
        for one in snapshots:
            found |= await (drop_damaged if drop else damaged)(library, one)
        return sorted(found.items()), len(snapshots)


async def _remove(place: Place, name: str, key: str, *, dry_run: bool) -> list[Stored]:
    async with open_store(place) as store:
        library = Library(store)
        snapshots = chosen(await library.all(name), name, key)
        for one in () if dry_run else snapshots:
            await library.remove(one)
        return snapshots


async def _collect(
    place: Place,
    older_than: float | None,
    unused_for: float | None,
    grace: float,
    *,
    dry_run: bool,
) -> tuple[list[str], int, int]:
    """Return what was removed, the bytes of it, and how many snapshots cannot be read here."""
    now = time.time()
    async with open_store(place) as store:
        library = Library(store)
        heads = await library.heads()
        if heads.failed:
            raise heads.failed[0]
        made_before = None if older_than is None else now - older_than * _DAY_S
        used_before = None if unused_for is None else now - unused_for * _DAY_S
        gone = unneeded(heads.read, made_before, used_before, await library.last_uses())
        kept = [one for one in heads.read if one not in gone]
        old = [
            one for one in heads.others if made_before is not None and one.modified < made_before
        ]
        left = len(heads.others) - len(old)
        unnamed = [] if left else await library.unnamed(kept, now - grace)
        if not dry_run:
            for stored in gone:
                await library.remove(stored)
            for name in [*(one.name for one in old), *(name for name, _ in unnamed)]:
                await store.delete(name)
        removed = [*map(_name, gone), *(one.name for one in old)]
        return removed + [name for name, _ in unnamed], sum(size for _, size in unnamed), left
