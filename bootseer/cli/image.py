"""`bootseer image`: index images, and look at what is known of them."""

import asyncio
import json
from pathlib import Path

import click
from rich.console import Console

from bootseer.cli.about_image import about_image, wanted_platform, with_client
from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.control import control_socket, fetch_container
from bootseer.cli.image_convert import convert
from bootseer.cli.image_output import (
    indexed_document,
    report_document,
    show_files,
    show_indexed,
    show_report,
)
from bootseer.cli.image_trust import pin, sign
from bootseer.cli.layer_progress import LayerProgress
from bootseer.cli.lazy_output import lazy_view
from bootseer.errors import UsageError
from snapshotter.containers.store import add_image
from snapshotter.images.indexing import IndexedImage, IndexingPolicy, index_image
from snapshotter.images.inspection import ImageReport, inspect_image
from snapshotter.images.resolve import ResolvedImage, resolve
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference


@click.group("image", short_help="Index images and look into them.")
def group() -> None:
    """Index images and look into them."""


group.add_command(convert)
group.add_command(sign)
group.add_command(pin)


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
    """Show an image's layers, and by which kind of index each is served."""
    config = load_config(config_path)

    async def work(client: RegistryClient) -> ImageReport:
        image, wanted = parse_reference(reference), wanted_platform(platform)
        return await inspect_image(client, image, wanted, config.index.sources)

    report = with_client(config, reference, plain_http, work)
    if as_json:
        click.echo(json.dumps(report_document(report, with_files=with_files), indent=1))
        return
    show_report(report)
    if with_files:
        show_files(report)


@group.command("lazy")
@click.argument("container")
@click.option(
    "--namespace",
    "-n",
    default="k8s.io",
    show_default=True,
    envvar="CONTAINERD_NAMESPACE",
    help="containerd's namespace with the container.",
)
@config_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lazy(container: str, namespace: str, config_path: Path, as_json: bool) -> None:
    """Say whether a container started lazily, and how much of its image was fetched.

    CONTAINER is its name as containerd has it. Bytes are those since the server started.
    """
    document = asyncio.run(fetch_container(control_socket(config_path), namespace, container))
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        Console(highlight=False).print(lazy_view(document))


@group.command("pull")
@about_image
@click.option(
    "--address",
    envvar="CONTAINERD_ADDRESS",
    help="containerd's socket; default: that of the configuration.",
)
@click.option(
    "--namespace",
    "-n",
    envvar="CONTAINERD_NAMESPACE",
    default="default",
    show_default=True,
    help="containerd's namespace to pull into.",
)
@click.option("--snapshotter", help="Name of the plugin; default: that of the configuration.")
def pull(
    reference: str,
    platform: str | None,
    config_path: Path,
    plain_http: bool,
    as_json: bool,
    address: str | None,
    namespace: str,
    snapshotter: str | None,
) -> None:
    """Pull an image into containerd without downloading its layers.

    For containerd 1.x, whose `ctr images pull` downloads them all; works with 2.x, too. Containers
    then run with `ctr run --snapshotter bootseer REF NAME`.
    """
    config = load_config(config_path)
    socket = address or config.containerd
    if not socket:
        raise UsageError("no containerd to pull into", hint="--address says where its socket is")
    served: list[str] = []

    async def work(client: RegistryClient) -> ResolvedImage:
        image = await resolve(client, parse_reference(reference), wanted_platform(platform))
        await add_image(
            socket,
            namespace,
            image,
            str(parse_reference(reference)),
            snapshotter or config.snapshotter.name,
            lambda layer: served.append(layer.chain),
        )
        return image

    image = with_client(config, reference, plain_http, work)
    name = str(parse_reference(reference))
    if as_json:
        click.echo(json.dumps({"image": name, "digest": image.digest, "layers": served}, indent=1))
    else:
        click.echo(f"{name}: {len(served)} layers are served, {image.digest}")
