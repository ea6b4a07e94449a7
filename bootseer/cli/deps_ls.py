"""`bootseer deps ls` and `show`: what is in a store."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bootseer.cli.config_option import load_config
from bootseer.cli.deps_store import about_store, deps_settings
from bootseer.cli.text import printable, size_text
from depsnap.snapshots.choosing import chosen
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.names import check_job
from depsnap.snapshots.places import Place, open_store
from depsnap.tree.entries import Tree
from depsnap.waiting import wait_for_result


@click.command("ls")
@click.argument("name", default="")
@about_store
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls_command(name: str, store: str | None, config_path: Path, as_json: bool) -> None:
    """List the snapshots of job NAME; of all jobs without a name."""
    found = wait_for_result(
        _all(deps_settings(store, load_config(config_path)).store, name and check_job(name))
    )
    if as_json:
        click.echo(json.dumps([_row(one) for one in found], indent=1))
        return
    click.echo(f"{'created':<19}  {'key':<12}  {'gen':>3}  {'entries':>8}  {'size':>9}  job")
    for one in found:
        head = one.head
        click.echo(
            f"{_when(head.created):<19}  {head.key[:12]}  {one.generation:>3}  {head.entries:>8}"
            f"  {size_text(head.size):>9}  {head.name}"
        )


@click.command("show")
@click.argument("name")
@click.argument("key", default="")
@about_store
@click.option("--files", is_flag=True, help="List every entry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(
    name: str, key: str, store: str | None, config_path: Path, files: bool, as_json: bool
) -> None:
    """Show the newest snapshot of job NAME; with the first characters of its KEY, that one."""
    place = deps_settings(store, load_config(config_path)).store
    stored, tree = wait_for_result(_one(place, check_job(name), key))
    if as_json:
        click.echo(json.dumps(_document(stored, tree, files=files), indent=1))
        return
    _print(stored, tree, files=files)


async def _all(place: Place, name: str) -> list[Stored]:
    async with open_store(place) as store:
        return await Library(store).all(name)


async def _one(place: Place, name: str, key: str) -> tuple[Stored, Tree]:
    async with open_store(place) as store:
        library = Library(store)
        stored = chosen(await library.all(name), name, key)[-1]
        return stored, await library.tree(stored.head)


def _row(stored: Stored) -> dict[str, Any]:
    head = stored.head
    return {
        "name": head.name,
        "key": head.key,
        "generation": stored.generation,
        "digest": stored.digest,
        "created": head.created,
        "fresh_until": head.fresh_until,
        "entries": head.entries,
        "size": head.size,
        "stored": head.stored,
    }


def _document(stored: Stored, tree: Tree, *, files: bool) -> dict[str, Any]:
    head = stored.head
    document = _row(stored) | {
        "command": head.command,
        "roots": head.roots,
        "capture": head.capture,
        "seconds": head.seconds,
        "ingredients": [asdict(one) for one in head.ingredients],
        "packs": [
            {"digest": pack.digest, "title": pack.title, "size": pack.raw, "stored": pack.stored}
            for pack in tree.packs
        ],
    }
    if files:
        document["files"] = [
            {"path": f"/{entry.path}", "kind": entry.kind.name.lower(), "size": entry.size}
            for entry in tree.entries
        ]
    return document


def _print(stored: Stored, tree: Tree, *, files: bool) -> None:
    head = stored.head
    fresh = "for ever" if head.fresh_until is None else f"until {_when(head.fresh_until)}"
    for title, text in (
        ("job", head.name),
        ("key", head.key),
        ("made", f"{_when(head.created)}, by {head.capture}, in {head.seconds:.1f} s"),
        ("fresh", fresh),
        ("command", " ".join(head.command)),
        ("roots", " ".join(head.roots)),
        ("holds", f"{head.entries} entries, {size_text(head.size)}"),
        ("stored", f"{size_text(head.stored)} in {len(tree.packs)} packs"),
    ):
        click.echo(f"{title:<8} {_shown(text)}")
    for title, size, packs in _titles(tree):
        click.echo(f"  {size_text(size):>9}  {packs:>4} packs  {title}")
    if files:
        for entry in tree.entries:
            click.echo(f"{entry.kind.value} {entry.size:>12} /{_shown(entry.path)}")


def _titles(tree: Tree) -> Sequence[tuple[str, int, int]]:
    """Return (title, stored bytes, packs) of what the packs belong to, the largest first."""
    sizes: dict[str, list[int]] = {}
    for pack in tree.packs:
        sizes.setdefault(pack.title, []).append(pack.stored)
    found = [(title, sum(one), len(one)) for title, one in sizes.items()]
    return sorted(found, key=lambda one: -one[1])


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _shown(text: str) -> str:
    return printable(text.encode("utf-8", "surrogateescape"))
