"""An event as a line of JSON. Pure; docs/events.md has the format.

Apart from `parse`, as jobs import this and nothing else: what that takes they would pay for.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from bootseer.events.event import Event, Value
from bootseer.logs import redact

VERSION: Final = 1
LONGEST: Final = 4096
"""Bytes of a line, its end included. So much is written to a pipe in one piece."""
TEXT: Final = 256
"""Characters of a name."""
_VALUE: Final = 1024
"""Characters of an attribute."""
ATTRIBUTES: Final = 64


def encode(event: Event) -> bytes:
    """Return the line. What is too long is cut; of attributes that are too many none is left.

    Secrets in attributes are removed, as in logs.
    """
    attributes = {
        _text(key): _text(value, _VALUE) if isinstance(value, str) else value
        for key, value in redact(event.attributes).items()
    }
    line = _line(event, attributes) if len(attributes) <= ATTRIBUTES else b""
    return line if 0 < len(line) <= LONGEST else _line(event, {"cut": True})


def _text(value: str, most: int = TEXT) -> str:
    """Return a text that has a UTF-8 form and is not too long."""
    return value[:most].encode(errors="replace").decode()


def _line(event: Event, attributes: Mapping[str, Value]) -> bytes:
    origin = event.origin
    document: dict[str, Any] = {
        "v": VERSION,
        "time_ns": event.time_ns,
        "monotonic_ns": event.monotonic_ns,
        "job": _text(origin.job),
        "attempt": origin.attempt,
        "node": _text(origin.node),
        "rank": origin.rank,
        "stage": _text(event.stage),
        "event": event.phase.value,
        "id": _text(event.identity),
        "attributes": attributes,
        "lost": event.lost or None,
    }
    # What says nothing is left out.
    kept = {key: value for key, value in document.items() if value not in ("", None, {})}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
