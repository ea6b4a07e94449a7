"""Sends spans to a collector, every few seconds. A collector that fails costs spans, never time.

Race-free: one task.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from bootseer.errors import RemoteError, UsageError
from bootseer.otlp.encoding import ERROR, INTERNAL, attributes_of, request_of
from bootseer.otlp.sending import send
from snapshotter.tracing.spans import Span, Tracer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootseer.events.event import Value

log = logging.getLogger(__name__)

_ROUND_S: Final = 2.0
_BATCH: Final = 512
_TRIES: Final = 2


class Exporter:
    """Takes spans from a tracer and sends them."""

    def __init__(self, tracer: Tracer, endpoint: str, version: str) -> None:
        """`endpoint`: of OTLP/HTTP, as `http://localhost:4318`; empty: spans go nowhere.

        Raises UsageError for what is no address.
        """
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise UsageError(
                f"traces.otlp: {endpoint!r} is no address", hint="as http://localhost:4318"
            )
        self._tracer = tracer
        self._endpoint = endpoint
        self._resource: Mapping[str, Value] = {
            "service.name": "bootseer-snapshotter",
            "service.version": version,
            "host.name": socket.gethostname(),
        }
        self._failing = False

    async def run(self) -> None:
        """Send until cancelled; what is left then is sent if that is quick."""
        if not self._endpoint:
            return
        try:
            while True:
                await asyncio.sleep(_ROUND_S)
                await self._send()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._send()

    async def _send(self) -> None:
        while spans := self._tracer.take(_BATCH):
            body = request_of([(self._resource, [encoded(span) for span in spans])])
            try:
                await send(self._endpoint, [body], _TRIES)
            except (RemoteError, OSError) as error:
                self._lose(len(spans), str(error))
                return
            self._failing = False

    def _lose(self, count: int, reason: str) -> None:
        """Say once that spans get lost, until some arrive again."""
        self._tracer.lost += count
        if not self._failing:
            log.warning("traces.lost", extra={"fields": {"spans": count, "reason": reason}})
        self._failing = True


def encoded(span: Span) -> dict[str, Any]:
    """Return a span in the form of OTLP."""
    made: dict[str, Any] = {
        "traceId": span.trace,
        "spanId": span.identity,
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": str(span.begin_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": attributes_of(span.attributes),
    }
    if span.parent:
        made["parentSpanId"] = span.parent
    if span.error:
        made["status"] = {"code": ERROR, "message": span.error}
    return made
