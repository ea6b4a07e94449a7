"""`bootseer image`: index images, and look at what is known of them."""

import json
from pathlib import Path

import click

from bootseer.cli.about_image import about_image, wanted_platform, with_client
from bootseer.cli.config_option import load_config
from bootseer.cli.image_output import (
    indexed_document,
    report_document,
    show_files,
    show_indexed,
    show_report,
)
from bootseer.cli.layer_progress import LayerProgress
from snapshotter.images.indexing import IndexedImage, IndexingPolicy, index_image
from snapshotter.images.inspection import ImageReport, inspect_image
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference


@click.group("image", short_help="Index images and look into them.")
def group() -> None:
    """Index images and look into them."""


@group.command("index")
@about_image
@click.option("--again", is_flag=True, help="Index layers that have an index, too.")
@click.option(
    "--parallel", type=click.IntRange(1, 16), default=2, show_default=True, help="Layers at a time."
)
def index(
    reference: str,
    platform: str | None,
    config_path: Path,
    plain_http: bool,
    as_json: bool,
    again: bool,
    parallel: int,
) -> None:
    """Index the layers of an image and publish the result next to it.

    Nodes that run the snapshotter then start the image without downloading it. The image itself
    is not changed.
    """
    config = load_config(config_path)
    policy = IndexingPolicy(config.index.spacing, again, parallel)

    async def work(client: RegistryClient) -> IndexedImage:
        with LayerProgress() as progress:
            image = parse_reference(reference)
            return await index_image(
                client, image, wanted_platform(platform), policy, progress.update
            )

    done = with_client(config, reference, plain_http, work)
    if as_json:
        click.echo(json.dumps(indexed_document(done), indent=1))
    else:
        show_indexed(done)


@group.command("inspect")
@about_image
@click.option("--files", "with_files", is_flag=True, help="List the files of every indexed layer.")
def inspect(
    reference: str,
    platform: str | None,
    config_path: Path,
    plain_http: bool,
    as_json: bool,
    with_files: bool,
) -> None:
    """Show an image's layers, and which of them have a published index."""

    async def work(client: RegistryClient) -> ImageReport:
        return await inspect_image(client, parse_reference(reference), wanted_platform(platform))

    report = with_client(load_config(config_path), reference, plain_http, work)
    if as_json:
        click.echo(json.dumps(report_document(report, with_files=with_files), indent=1))
        return
    show_report(report)
    if with_files:
        show_files(report)
