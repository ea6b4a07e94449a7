"""`bootseer deps key` and `explain`: what a key is made of, and what differs."""

import json

import click

from bootseer.cli.deps_step import AFTER_OPTIONS, about_step
from bootseer.errors import NotFoundError
from depsnap.key.compose import Composed, compose
from depsnap.key.explain import explain
from depsnap.runs.settings import Job
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.places import open_store
from depsnap.waiting import wait_for_result


@click.command("key", context_settings=AFTER_OPTIONS)
@about_step
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def key_command(job: Job, as_json: bool) -> None:
    """Show the key of COMMAND here, and everything that is part of it."""
    composed = compose(job.step)
    if as_json:
        click.echo(json.dumps(_document(composed), indent=1))
        return
    click.echo(composed.key)
    for one in composed.ingredients:
        shown = one.detail[0] if len(one.detail) == 1 else f"{len(one.detail)} lines"
        click.echo(f"  {one.digest[:12]}  {one.name}: {shown}")
    if not composed.lasting:
        click.echo("not pinned: the snapshot is made anew from time to time")


@click.command("explain", context_settings=AFTER_OPTIONS)
@about_step
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain_command(job: Job, as_json: bool) -> None:
    """Say what differs between COMMAND here and the snapshot of that name that was made last."""
    composed = compose(job.step)
    latest = wait_for_result(_latest(job))
    if latest is None:
        raise NotFoundError(f"there is no snapshot of {job.name} in {job.settings.store.address}")
    differences = explain(latest.head.ingredients, composed.ingredients)
    if as_json:
        found = {"key": composed.key, "newest": latest.head.key, "differences": differences}
        click.echo(json.dumps(found, indent=1))
        return
    for line in differences or ["nothing differs: there is a snapshot"]:
        click.echo(line)


async def _latest(job: Job) -> Stored | None:
    async with open_store(job.settings.store) as store:
        return await Library(store).latest_of(job.name)


def _document(composed: Composed) -> dict[str, object]:
    return {
        "key": composed.key,
        "roots": composed.roots,
        "lasting": composed.lasting,
        "ingredients": [
            {"name": one.name, "digest": one.digest, "detail": one.detail}
            for one in composed.ingredients
        ],
    }
