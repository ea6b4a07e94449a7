"""`bootseer image`: index images, and look at what is known of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from bootseer.cli.image_output import (
    indexed_document,
    report_document,
    show_files,
    show_indexed,
    show_report,
)
from bootseer.cli.layer_progress import LayerProgress
from bootseer.config import DEFAULT_PATH, Config, load
from bootseer.errors import CorruptError, UsageError
from snapshotter.images.indexing import IndexedImage, IndexingPolicy, index_image
from snapshotter.images.inspection import ImageReport, inspect_image
from snapshotter.images.platforms import this_platform
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.configure import client_settings
from snapshotter.registry.descriptors import Platform, parse_platform
from snapshotter.registry.reference import parse_reference

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])


@click.group("image", short_help="Index images and look into them.")
def group() -> None:
    """Index images and look into them."""


def _common(command: F) -> F:
    """Add the argument and the options of all commands here."""
    for decorate in reversed(
        [
            click.argument("reference", metavar="REF"),
            click.option("--platform", help="os/architecture[/variant]; default: this machine's."),
            click.option(
                "--config",
                "config_path",
                type=click.Path(path_type=Path),
                default=DEFAULT_PATH,
                show_default=True,
                help="Configuration file; defaults where it does not exist.",
            ),
            click.option("--plain-http", is_flag=True, help="Speak plain HTTP to the registry."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        ]
    ):
        command = decorate(command)
    return command


@group.command("index")
@_common
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
    config = _load(config_path)
    policy = IndexingPolicy(config.index.spacing, again, parallel)

    async def work(client: RegistryClient) -> IndexedImage:
        with LayerProgress() as progress:
            image = parse_reference(reference)
            return await index_image(client, image, _platform(platform), policy, progress.update)

    done = _run(config, reference, plain_http, work)
    if as_json:
        click.echo(json.dumps(indexed_document(done), indent=1))
    else:
        show_indexed(done)


@group.command("inspect")
@_common
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
        return await inspect_image(client, parse_reference(reference), _platform(platform))

    report = _run(_load(config_path), reference, plain_http, work)
    if as_json:
        click.echo(json.dumps(report_document(report, with_files=with_files), indent=1))
        return
    show_report(report)
    if with_files:
        show_files(report)


def _load(path: Path) -> Config:
    if not path.exists() and path == DEFAULT_PATH:
        return Config()
    return load(path)


def _platform(text: str | None) -> Platform:
    try:
        return parse_platform(text) if text else this_platform()
    except CorruptError as error:
        raise UsageError(f"--platform: {error.message}") from error


def _run(
    config: Config,
    reference: str,
    plain_http: bool,
    work: Callable[[RegistryClient], Awaitable[T]],
) -> T:
    """Run `work` with a client for the operator's configuration."""
    settings = client_settings(config.registry)
    if plain_http:
        settings = settings.with_plain_http(parse_reference(reference).host)

    async def inside() -> T:
        async with RegistryClient(settings) as client:
            return await work(client)

    return asyncio.run(inside())
