"""Spans of starts as OpenTelemetry traces: a trace a start. Pure.

Ids are derived from what a span is, so that sending it twice makes no second one. A stage without
an end is a span of no length, with an error status.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from bootseer.events.event import Origin, Value
from bootseer.otlp.encoding import ERROR, INTERNAL, attributes_of, request_of
from bootseer.profile.spans import Span
from bootseer.profile.starts import Start

SPANS: Final = 1000
"""Spans of one request at most: some 500 kB of JSON."""


def requests_of(starts: Iterable[Start]) -> Iterator[dict[str, Any]]:
    """Yield the bodies of the requests that tell a collector of starts."""
    for start in starts:
        for first in range(0, len(start.spans), SPANS):
            yield _request(start, start.spans[first : first + SPANS])


def _request(start: Start, spans: Sequence[Span]) -> dict[str, Any]:
    by_origin: defaultdict[Origin, list[Span]] = defaultdict(list)
    for span in spans:
        by_origin[span.origin].append(span)
    return request_of(
        (_resource(origin), [_span(start, span) for span in own])
        for origin, own in by_origin.items()
    )


def _resource(origin: Origin) -> dict[str, Value]:
    about: dict[str, Value] = {
        "service.name": origin.job or "bootseer",
        "host.name": origin.node,
        "bootseer.attempt": origin.attempt,
    }
    return about if origin.rank is None else about | {"bootseer.rank": origin.rank}


def _span(start: Start, span: Span) -> dict[str, Any]:
    origin = span.origin
    identity = (origin.node, origin.rank, span.stage, span.begin_ns, span.length_ns)
    made: dict[str, Any] = {
        "traceId": _digest("trace", start.job, start.attempt)[:32],
        "spanId": _digest("span", start.job, start.attempt, *identity)[:16],
        "name": span.stage,
        "kind": INTERNAL,
        "startTimeUnixNano": str(span.begin_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": attributes_of(span.attributes),
    }
    if span.length_ns is None or "error" in span.attributes:
        message = str(span.attributes.get("error", "the stage has no end"))
        made["status"] = {"code": ERROR, "message": message}
    return made


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
