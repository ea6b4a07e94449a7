"""`bootseer hot show`: what the recorded starts of an image touched."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from bootseer.cli.about_image import about_image, wanted_platform, with_client
from bootseer.cli.config_option import load_config
from bootseer.cli.hot_document import hot_document
from bootseer.cli.hot_output import show_report
from bootseer.cli.hot_page.render import render
from bootseer.cli.output_file import write_output
from bootseer.config import Config
from bootseer.errors import CorruptError, NotFoundError, UsageError
from snapshotter.hot.record import Record
from snapshotter.hot.record_format import decode
from snapshotter.hot.report import HotReport, ImageLayer, make_report
from snapshotter.hotstore.places import open_hot_store
from snapshotter.images.inspection import ImageReport, inspect_image
from snapshotter.limits import DEFAULT
from snapshotter.ports import ImageKey
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference

_TOP = 15


@click.command("show", short_help="Show what the recorded starts of an image touched.")
@about_image
@click.option("--workload", default="", help="Name of the workload; default: the image's default.")
@click.option(
    "--html",
    "html_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one self-contained page with heat maps and timeline.",
)
@click.option(
    "--record",
    "record_paths",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    multiple=True,
    help="Show this record instead of the published ones; may be given several times.",
)
@click.option(
    "--top", type=click.IntRange(0), default=_TOP, show_default=True, help="Files to list."
)
def command(
    reference: str,
    platform: str | None,
    config_path: Path,
    plain_http: bool,
    as_json: bool,
    workload: str,
    html_path: Path | None,
    record_paths: tuple[Path, ...],
    top: int,
) -> None:
    """Show the hot blocks of an image: what its starts touched, where it lies, and when.

    All recorded starts of the workload are merged. Files have names where the image has a
    published index (`bootseer image index`).
    """
    config = load_config(config_path)
    given = [_read_record(path) for path in record_paths]

    async def work(client: RegistryClient) -> HotReport:
        image = await inspect_image(client, parse_reference(reference), wanted_platform(platform))
        records = given or await _published(config, client, image, reference, workload)
        _check_image(records, image, workload)
        return make_report(records, _layers(image), limits=client.settings.limits)

    report = with_client(config, reference, plain_http, work)
    document = hot_document(report, reference)
    if html_path:
        write_output(html_path, render(document), "page")
    if as_json:
        click.echo(json.dumps(document))  # no indent: most of it are long lists of numbers
    else:
        show_report(Console(highlight=False), report, reference, top=top)
        if html_path:
            click.echo(f"page written to {html_path}", err=True)


def _read_record(path: Path) -> Record:
    try:
        with path.open("rb") as file:
            data = file.read(2 * DEFAULT.hot_record)
    except OSError as error:
        raise UsageError(f"--record {path}: {error.strerror}") from error
    try:
        return decode(data)
    except CorruptError as error:
        error.add_note(f"in {path}")
        raise


async def _published(
    config: Config, client: RegistryClient, image: ImageReport, reference: str, workload: str
) -> Sequence[Record]:
    """Return the records in the store. NotFoundError if there are none."""
    async with open_hot_store(config.hot.store, client) as store:
        records = await store.records(ImageKey(reference, image.image.digest), workload)
    if not records:
        what = f"workload {workload!r}" if workload else "the default workload"
        raise NotFoundError(
            f"{reference}: no start of {what} was recorded",
            hint=f"bootseer hot ls {reference} lists what there is",
        )
    return records


def _check_image(records: Sequence[Record], image: ImageReport, workload: str) -> None:
    """Raise `UsageError` if a record that was given is of something else."""
    for record in records:
        if record.manifest_digest != image.image.digest:
            raise UsageError(
                f"the record is of image {record.manifest_digest}, this is {image.image.digest}",
                hint="give the reference of the image that was recorded, or its --platform",
            )
        if record.workload != workload:
            raise UsageError(
                f"the record is of workload {record.workload!r}",
                hint=f"--workload {shlex.quote(record.workload)}",
            )


def _layers(image: ImageReport) -> list[ImageLayer]:
    return [ImageLayer(layer.digest, layer.index_digest, layer.index) for layer in image.layers]
