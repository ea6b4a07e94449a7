"""`bootseer profile report`: where the time of starts went."""

import json
from pathlib import Path

import click
from rich.console import Console

from bootseer.cli.output_file import write_output
from bootseer.cli.profile_output import report_view
from bootseer.cli.profile_page.render import render
from bootseer.events.reading import read_events
from bootseer.profile.document import report_document
from bootseer.profile.picture import picture_document
from bootseer.profile.report import Report, compare, make_report
from bootseer.profile.trace import trace_document

_FILE_WIDTH = 160
"""Columns where the output is no terminal."""
_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("report", short_help="Report on starts that are over.")
@click.argument("events", nargs=-1, required=True, type=_PATH)
@click.option(
    "--baseline",
    "baselines",
    type=_PATH,
    multiple=True,
    help="Compare with the starts of these events; may be given several times.",
)
@click.option(
    "--align",
    "align_at",
    default="",
    metavar="STAGE",
    help="A stage that all nodes leave at once: sets their clocks against each other.",
)
@click.option(
    "--gpus-per-node",
    type=click.FloatRange(0, min_open=True),
    help="For GPU hours; default: what events say, else one a rank.",
)
@click.option("--html", "html_path", type=_FILE, metavar="FILE", help="Write a page.")
@click.option(
    "--export", "trace_path", type=_FILE, metavar="FILE", help="Write a trace for Perfetto."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    events: tuple[Path, ...],
    baselines: tuple[Path, ...],
    align_at: str,
    gpus_per_node: float | None,
    html_path: Path | None,
    trace_path: Path | None,
    as_json: bool,
) -> None:
    """Report where the starts in EVENTS (files, or directories of them) spent their time.

    Stages by median, 95th percentile and slowest node; stragglers; full starts and hot updates
    apart. Events that are broken, doubled or without their other end are counted; the rest counts.
    """

    def reported(paths: tuple[Path, ...]) -> Report:
        return make_report(read_events(paths), align_at=align_at, gpus_per_node=gpus_per_node)

    report = reported(events)
    changes = compare(reported(baselines), report) if baselines else []
    document = report_document(report, changes)
    if html_path:
        write_output(html_path, render(document, picture_document(report)), "page")
    if trace_path:
        write_output(trace_path, json.dumps(trace_document(report)), "trace")
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(report_view(report, changes))
    for path, what in ((html_path, "page"), (trace_path, "trace")):
        if path:
            click.echo(f"{what} written to {path}", err=True)
