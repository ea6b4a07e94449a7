"""`bootseer hot ls`: the records and packs of an image."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bootseer.cli.about_image import about_image, wanted_platform, with_client
from bootseer.cli.config_option import load_config
from bootseer.cli.text import size_text
from snapshotter.hotstore.places import open_hot_store
from snapshotter.images.resolve import resolve
from snapshotter.ports import ImageKey, StoredHot
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference


@click.command("ls", short_help="List the records and packs of an image.")
@about_image
def command(
    reference: str, platform: str | None, config_path: Path, plain_http: bool, as_json: bool
) -> None:
    """List what is known of an image's start-ups: records, one a run, and packs made of them."""
    config = load_config(config_path)

    async def work(client: RegistryClient) -> tuple[ImageKey, Sequence[StoredHot]]:
        image = await resolve(client, parse_reference(reference), wanted_platform(platform))
        key = ImageKey(reference, image.digest)
        async with open_hot_store(config.hot.store, client) as store:
            return key, await store.stored(key)

    key, stored = with_client(config, reference, plain_http, work)
    if as_json:
        click.echo(json.dumps(_document(key, stored), indent=1))
        return
    click.echo(f"{'what':<7}  {'digest':<19}  {'size':>9}  {'runs':>4}  {'created':<19}  workload")
    for one in stored:
        click.echo(
            f"{one.kind:<7}  {one.digest[:19]:<19}  {size_text(one.size):>9}  {one.runs:>4}"
            f"  {one.created:%Y-%m-%d %H:%M:%S}  {one.workload or '(default)'}"
        )


def _document(image: ImageKey, stored: Sequence[StoredHot]) -> dict[str, Any]:
    return {
        "reference": image.reference,
        "manifest": image.manifest_digest,
        "stored": [
            {
                "kind": one.kind,
                "digest": one.digest,
                "size": one.size,
                "workload": one.workload,
                "runs": one.runs,
                "created": one.created.isoformat(),
            }
            for one in stored
        ],
    }
