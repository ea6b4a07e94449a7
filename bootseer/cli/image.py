"""`bootseer image`: index images, and look at what is known of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bootseer.cli.layer_progress import LayerProgress
from bootseer.config import DEFAULT_PATH, Config, load
from bootseer.errors import CorruptError, UsageError
from snapshotter.images.indexing import IndexedImage, IndexingPolicy, index_image
from snapshotter.images.inspection import ImageReport, LayerReport, files, inspect_image
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
        click.echo(json.dumps(_indexed_document(done), indent=1))
    else:
        _show_indexed(done)


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
        click.echo(json.dumps(_report_document(report, with_files=with_files), indent=1))
        return
    _show_report(report)
    if with_files:
        _show_files(report)


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


def _indexed_document(done: IndexedImage) -> dict[str, Any]:
    return {
        "reference": str(done.image.reference),
        "manifest": done.image.digest,
        "artifact": done.artifact_digest,
        "published": done.published,
        "layers": [
            {
                "digest": layer.digest,
                "size": layer.size,
                "outcome": str(layer.stage),
                "index_size": layer.index_size,
                "windows_size": layer.windows_size,
                "chunks": layer.chunks,
                "seconds": round(layer.seconds, 3),
            }
            for layer in done.layers
        ],
    }


def _show_indexed(done: IndexedImage) -> None:
    for layer in done.layers:
        extra = layer.index_size + layer.windows_size
        share = f"{extra / layer.size:.2%}" if layer.size else "-"
        click.echo(f"{layer.digest}  {layer.stage:<9}  {_size(layer.size):>10}  index {share}")
    news = "published" if done.published else "already published"
    click.echo(f"{news}: {done.artifact_digest} for {done.image.reference}")


def _report_document(report: ImageReport, *, with_files: bool) -> dict[str, Any]:
    found = report.found
    document: dict[str, Any] = {
        "reference": str(report.image.reference),
        "manifest": report.image.digest,
        "artifact": found.digest if found else None,
        "created": found.artifact.created.isoformat() if found else None,
        "layers": [_layer_document(layer) for layer in report.layers],
    }
    if with_files:
        document["files"] = [
            {
                "layer": layer.position,
                "path": entry.path.decode(errors="backslashreplace"),
                "mode": entry.permissions,
                "size": entry.size,
                "target": entry.target.decode(errors="backslashreplace") or None,
                "whiteout": entry.whiteout,
            }
            for layer in report.layers
            if layer.index
            for entry in files(layer.index.tree)
        ]
    return document


def _layer_document(layer: LayerReport) -> dict[str, Any]:
    return {
        "digest": layer.digest,
        "media_type": layer.media_type,
        "size": layer.size,
        "indexed": layer.indexed,
        "sequential": layer.sequential,
        "problem": layer.problem or None,
        "index": layer.index_digest,
        "index_size": layer.index_size,
        "windows_size": layer.windows_size,
        "index_share": None if layer.share is None else round(layer.share, 6),
        "data_size": layer.data_size,
        "entries": layer.entries,
        "chunks": layer.chunks,
    }


def _show_report(report: ImageReport) -> None:
    found = report.found
    click.echo(f"image     {report.image.reference}")
    click.echo(f"platform  {report.image.config.platform}")
    when = f", {found.artifact.created:%Y-%m-%d %H:%M:%S %Z}" if found else ""
    click.echo(f"index     {found.digest if found else 'none'}{when}")
    click.echo(f"{'layer':<19}  {'size':>9}  {'files':>9}  {'data':>9}  {'chunks':>7}  index")
    for layer in report.layers:
        click.echo(_layer_line(layer))
    indexed = sum(layer.indexed for layer in report.layers)
    total = sum(layer.size for layer in report.layers)
    click.echo(f"{indexed} of {len(report.layers)} layers indexed, {_size(total)} compressed")


def _layer_line(layer: LayerReport) -> str:
    name = layer.digest[: len("sha256:") + 12]
    if not layer.indexed:
        why = "sequential only" if layer.sequential else layer.problem or "not indexed"
        return f"{name:<19}  {_size(layer.size):>9}  {'-':>9}  {'-':>9}  {'-':>7}  {why}"
    extra = _size((layer.index_size or 0) + (layer.windows_size or 0))
    share = f"{layer.share:.2%}" if layer.share is not None else "-"
    return (
        f"{name:<19}  {_size(layer.size):>9}  {layer.entries:>9}  {_size(layer.data_size or 0):>9}"
        f"  {layer.chunks:>7}  {extra} ({share})"
    )


def _show_files(report: ImageReport) -> None:
    for layer in report.layers:
        if layer.index is None:
            continue
        for entry in files(layer.index.tree):
            path = _printable(entry.path)
            arrow = f" -> {_printable(entry.target)}" if entry.target else ""
            hides = "  (whiteout)" if entry.whiteout else ""
            click.echo(
                f"{layer.position:>3}  {entry.permissions}  {entry.size:>12}  {path}{arrow}{hides}"
            )


def _printable(name: bytes) -> str:
    """Return a name as a terminal may show it: names of layers may hold control sequences."""
    text = name.decode(errors="backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _size(size: float) -> str:
    """Return a size in decimal units, for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
