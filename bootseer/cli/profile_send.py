"""`bootseer profile send`: starts as traces to an OpenTelemetry collector."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import aiohttp
import click

from bootseer.errors import RemoteError
from bootseer.events.reading import read_events
from bootseer.profile.clocks import align
from bootseer.profile.otlp import requests_of
from bootseer.profile.spans import Trouble, pair
from bootseer.profile.starts import starts_of

_TIMEOUT_S: Final = 30.0
_TRIES: Final = 5
_ANSWER: Final = 64 << 10
"""Bytes of an answer that are looked at."""
_AGAIN: Final = {429, 502, 503, 504}
"""Answers after which the same may be sent again (OTLP/HTTP, "Retryable Response Codes")."""


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
    asyncio.run(_send(f"{endpoint.rstrip('/')}/v1/traces", requests_of(starts)))
    spans = sum(len(start.spans) for start in starts)
    click.echo(f"{spans:,} spans of {len(starts):,} starts sent", err=True)


async def _send(url: str, bodies: Iterable[dict[str, Any]]) -> None:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for body in bodies:
            await _post(session, url, json.dumps(body).encode())


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    """Send one request, again where that may help. RemoteError if it is not taken."""
    headers = {"Content-Type": "application/json"}
    for left in reversed(range(_TRIES)):
        try:
            async with session.post(url, data=body, headers=headers) as response:
                said = await response.content.read(_ANSWER)
                if response.status < 300:
                    _check_whole(url, said)
                    return
                problem = (
                    f"{response.status} {response.reason}: {said[:500].decode(errors='replace')}"
                )
                hopeless = response.status not in _AGAIN
        except (aiohttp.ClientError, TimeoutError) as error:
            problem, hopeless = str(error) or "no answer in time", False
        if hopeless or not left:
            raise RemoteError(f"{url}: {problem}", hint="is it an OTLP/HTTP endpoint?")
        await asyncio.sleep(2.0 ** (_TRIES - left - 3))


def _check_whole(url: str, said: bytes) -> None:
    """Raise RemoteError if some spans were refused."""
    try:
        partial = json.loads(said or b"{}").get("partialSuccess", {})
        refused = int(partial.get("rejectedSpans", 0))
    except (ValueError, AttributeError, TypeError):
        return
    if refused:
        reason = partial.get("errorMessage", "")
        raise RemoteError(f"{url}: {refused} spans were refused: {reason}")
