"""Values and requests in the form of OTLP. Pure.

Format: OTLP/JSON, `ExportTraceServiceRequest` (opentelemetry-proto 1.x, "JSON Protobuf Encoding":
ids in hex, 64-bit integers as text).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bootseer.events.event import Value

INTERNAL: Final = 1
"""Kind of a span that no other program has a part in."""
ERROR: Final = 2
"""Code of a span's status."""


def request_of(
    groups: Iterable[tuple[Mapping[str, Value], list[dict[str, Any]]]],
) -> dict[str, Any]:
    """Return the body of a request: spans, and what they are all of, group by group."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": attributes_of(resource)},
                "scopeSpans": [{"scope": {"name": "bootseer"}, "spans": spans}],
            }
            for resource, spans in groups
        ]
    }


def attributes_of(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    """Return attributes; what has no value is left out."""
    return [
        {"key": key, "value": _value(value)} for key, value in values.items() if value is not None
    ]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if abs(value) < 1 << 63 else {"stringValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value} if value == value else {"stringValue": "nan"}  # noqa: PLR0124
    return {"stringValue": str(value)}
