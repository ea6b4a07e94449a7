"""An event as a line of JSON, and back. Pure; docs/events.md has the format.

Whoever may write to a file of events may have written anything: `decode` checks all of it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from bootseer.documents import Node, parse_document
from bootseer.errors import CorruptError
from bootseer.events.event import Event, Origin, Phase, Value
from bootseer.logs import redact

VERSION: Final = 1
LONGEST: Final = 4096
"""Bytes of a line, its end included. So much is written to a pipe in one piece."""
_TEXT: Final = 256
"""Characters of a name."""
_VALUE: Final = 1024
"""Characters of an attribute."""
_ATTRIBUTES: Final = 64
_MOST: Final = (1 << 63) - 1


def encode(event: Event) -> bytes:
    """Return the line. What is too long is cut; of attributes that are too many none is left.

    Secrets in attributes are removed, as in logs.
    """
    attributes = {
        _text(key): _text(value, _VALUE) if isinstance(value, str) else value
        for key, value in redact(event.attributes).items()
    }
    line = _line(event, attributes) if len(attributes) <= _ATTRIBUTES else b""
    return line if 0 < len(line) <= LONGEST else _line(event, {"cut": True})


def _text(value: str, most: int = _TEXT) -> str:
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


def decode(line: bytes) -> Event:
    """Return what a line says. Fields that are not known are passed over.

    Raises:
        CorruptError: it is not an event of a version that we know.
    """
    root = parse_document(line, "event", LONGEST)
    if root.required("v").integer(0, _MOST) != VERSION:
        raise root.wrong("of another version")
    phase = root.required("event").string()
    if phase not in list(Phase):
        raise root.wrong("neither begin nor end")
    return Event(
        Origin(
            _string(root, "job"),
            _integer(root, "attempt") or 0,
            _string(root, "node"),
            _integer(root, "rank"),
        ),
        root.required("stage").string(_TEXT),
        Phase(phase),
        root.required("time_ns").integer(0, _MOST),
        root.required("monotonic_ns").integer(0, _MOST),
        _string(root, "id"),
        _attributes(root),
        _integer(root, "lost") or 0,
    )


def _string(root: Node, name: str) -> str:
    node = root.optional(name)
    return node.string(_TEXT) if node else ""


def _integer(root: Node, name: str) -> int | None:
    node = root.optional(name)
    return node.integer(0, _MOST) if node else None


def _attributes(root: Node) -> dict[str, Value]:
    node = root.optional("attributes")
    if node is None:
        return {}
    found = node.object()
    if len(found) > _ATTRIBUTES:
        raise node.wrong("too many")
    for value in found.values():
        if not (value is None or isinstance(value, str | int | float)):
            raise CorruptError("event: attributes: expected texts and numbers")
    return found
