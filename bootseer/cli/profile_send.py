"""`bootseer profile send`: starts as traces to an OpenTelemetry collector."""

import asyncio
from pathlib import Path

import click

from bootseer.events.reading import read_events
from bootseer.otlp.sending import send
from bootseer.profile.clocks import align
from bootseer.profile.otlp import requests_of
from bootseer.profile.spans import Trouble, pair
from bootseer.profile.starts import starts_of


@click.command("send", short_help="Send starts to an OpenTelemetry collector.")
@click.argument("events", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--otlp",
    "endpoint",
    required=True,
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    metavar="URL",
    help="The collector's OTLP/HTTP endpoint, as http://localhost:4318.",
)
@click.option("--align", "align_at", default="", metavar="STAGE", help="As `report` has it.")
def command(events: tuple[Path, ...], endpoint: str, align_at: str) -> None:
    """Send the starts in EVENTS as traces, one a start, with a span for every stage.

    Sending the same again makes nothing twice. Exit code 4 if the collector does not take them.
    """
    trouble = Trouble()
    read = read_events(events)
    starts = [align(one, align_at)[0] for one in starts_of(pair(read.events, trouble), trouble)]
    asyncio.run(send(endpoint, requests_of(starts)))
    spans = sum(len(start.spans) for start in starts)
    click.echo(f"{spans:,} spans of {len(starts):,} starts sent", err=True)
