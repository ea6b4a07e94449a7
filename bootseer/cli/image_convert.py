"""`bootseer image convert`: an image whose layers can be read at random, of one whose cannot."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bootseer.cli.about_image import about_image, wanted_platform, with_client
from bootseer.cli.config_option import load_config
from bootseer.cli.layer_progress import LayerProgress
from bootseer.cli.text import size_text
from snapshotter.images.conversion import (
    Conversion,
    ConversionPolicy,
    ConvertedImage,
    check_target,
    plan_conversion,
    publish_converted,
    push_converted,
)
from snapshotter.images.indexing import IndexedImage, IndexingPolicy
from snapshotter.layers.reframe import LEVEL
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference


@dataclass(frozen=True, slots=True)
class _Done:
    """What was to be done, and was done; nothing of the latter after a dry run."""

    conversion: Conversion
    converted: ConvertedImage | None = None
    indexed: IndexedImage | None = None


@click.command("convert", short_help="Make layers lazy that are one large zstd frame.")
@about_image
@click.argument("target", metavar="NEWREF")
@click.option(
    "--level",
    type=click.IntRange(1, 22),
    default=LEVEL,
    show_default=True,
    help="Of compression (zstd).",
)
@click.option("--no-index", is_flag=True, help="Do not index the new image.")
@click.option("--dry-run", is_flag=True, help="Only say which layers would be converted, and why.")
@click.option(
    "--parallel", type=click.IntRange(1, 16), default=2, show_default=True, help="Layers at a time."
)
def convert(
    reference: str,
    platform: str | None,
    config_path: Path,
    plain_http: bool,
    as_json: bool,
    target: str,
    level: int,
    no_index: bool,
    dry_run: bool,
    parallel: int,
) -> None:
    """Push an image as NEWREF whose layers can be read at random, and index it.

    Layers of large zstd frames, as docker buildx and podman push them, are compressed anew in small
    ones. Their contents, the image's configuration and all other layers stay as they are, and so
    does REF. Converted layers lie in the directory for temporary files (TMPDIR) until all are
    checked; nothing is pushed before. Of an image for several platforms one is converted.
    """
    config = load_config(config_path)
    source, new = parse_reference(reference), parse_reference(target)
    check_target(source, new)

    async def work(client: RegistryClient) -> _Done:
        plan = await plan_conversion(client, source, wanted_platform(platform), parallel)
        if dry_run:
            return _Done(plan)
        indexing = None if no_index else IndexingPolicy(config.index.spacing, parallel=parallel)
        with (
            tempfile.TemporaryDirectory(prefix="bootseer-convert-") as scratch,
            LayerProgress() as progress,
        ):
            policy = ConversionPolicy(Path(scratch), level, parallel)
            made = await push_converted(client, plan, new, policy, progress.show)
            indexed = await publish_converted(client, plan, made, indexing, progress.update)
        return _Done(plan, made, indexed)

    done = with_client(config, reference, plain_http, work, target)
    if as_json:
        click.echo(json.dumps(_document(done, str(new)), indent=1))
    else:
        _show(done, str(new))


def _document(done: _Done, target: str) -> dict[str, Any]:
    image, converted = done.conversion.image, done.converted
    return {
        "reference": str(image.reference),
        "manifest": image.digest,
        "new_reference": target,
        "new_manifest": converted.reference.digest if converted else None,
        "artifact": done.indexed.artifact_digest if done.indexed else None,
        "dry_run": converted is None,
        "layers": _layers(done),
    }


def _layers(done: _Done) -> list[dict[str, Any]]:
    layers = []
    for judged in done.conversion.layers:
        new = done.converted.layers.get(judged.layer.digest) if done.converted else None
        layers.append(
            {
                "digest": judged.layer.digest,
                "size": judged.layer.size,
                "convert": judged.convert,
                "reason": str(judged.reason),
                "new_digest": new.descriptor.digest if new else None,
                "new_size": new.descriptor.size if new else None,
                "frames": new.frames if new else None,
                "seconds": round(new.seconds, 3) if new else None,
            }
        )
    return layers


def _show(done: _Done, target: str) -> None:
    for layer in _layers(done):
        what = "convert" if layer["convert"] else "keep"
        size, new = size_text(layer["size"]), layer["new_digest"]
        became = f"  -> {new}  {size_text(layer['new_size'])}" if new else ""
        click.echo(f"{layer['digest']}  {size:>10}  {what:<7}  {layer['reason']}{became}")
    changed = sum(judged.convert for judged in done.conversion.layers)
    news = f"{changed} of {len(done.conversion.layers)} layers"
    if done.converted is None:
        click.echo(f"{news} would be converted for {target}")
        return
    indexed = f", index {done.indexed.artifact_digest}" if done.indexed else ", not indexed"
    click.echo(f"{news} converted: {done.converted.reference}{indexed}")
