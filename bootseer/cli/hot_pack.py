"""`bootseer hot pack`: makes the pack of an image out of what was recorded, and publishes it."""

import json
import tempfile
from pathlib import Path

import click

from bootseer.cli.about_image import about_image, wanted_platform, with_client
from bootseer.cli.config_option import load_config
from bootseer.cli.layer_progress import LayerProgress
from bootseer.cli.text import size_text
from snapshotter.hot.pack import DEFAULT_SETTINGS, PackSettings
from snapshotter.hotstore.image_pack import PackedImage, PackingPolicy, pack_image
from snapshotter.hotstore.places import open_hot_store
from snapshotter.images.resolve import ResolvedImage, resolve
from snapshotter.layers.records import BLOCK
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference


@click.command("pack", short_help="Make and publish the pack of an image.")
@about_image
@click.option("--workload", default="", help="Name of what ran; default: the image's default.")
@click.option(
    "--level",
    type=click.IntRange(1, 22),
    default=DEFAULT_SETTINGS.level,
    show_default=True,
    help="Of compression (zstd).",
)
def command(
    reference: str,
    platform: str | None,
    config_path: Path,
    plain_http: bool,
    as_json: bool,
    workload: str,
    level: int,
) -> None:
    """Make the pack of an image out of what was recorded of its starts, and publish it.

    Nodes then fetch what a start touches first with one download. The layers that were touched are
    read from the registry, once each; they take their uncompressed size in the directory for
    temporary files (TMPDIR) meanwhile.
    """
    config = load_config(config_path)

    async def work(client: RegistryClient) -> tuple[ResolvedImage, PackedImage]:
        image = await resolve(client, parse_reference(reference), wanted_platform(platform))
        with tempfile.TemporaryDirectory(prefix="bootseer-pack-") as scratch:
            policy = PackingPolicy(Path(scratch), PackSettings(level=level))
            async with open_hot_store(config.hot.store, client) as store:
                with LayerProgress() as progress:
                    packed = await pack_image(
                        client,
                        store,
                        image,
                        workload,
                        policy,
                        lambda layer, done: progress.show(layer, done, "reading"),
                    )
        return image, packed

    image, packed = with_client(config, reference, plain_http, work)
    merged, pack = packed.merged, packed.pack
    if as_json:
        document = {
            "reference": str(image.reference),
            "manifest": image.digest,
            "workload": merged.workload,
            "runs": merged.runs,
            "layers": pack.layers,
            "blocks": pack.blocks,
            "hot_size": pack.blocks * BLOCK,
            "pack_size": pack.size,
        }
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(
        f"published: {size_text(pack.size)} for {size_text(pack.blocks * BLOCK)} of {pack.layers}"
        f" layers, from {merged.runs} runs of {image.reference}"
    )
