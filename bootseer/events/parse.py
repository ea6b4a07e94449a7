"""A line of JSON as an event. Pure; docs/events.md has the format.

Whoever may write to a file of events may have written anything: all of it is checked.
"""

from typing import Final

from bootseer.documents import Node, parse_document
from bootseer.errors import CorruptError
from bootseer.events.event import Event, Origin, Phase, Value
from bootseer.events.line import ATTRIBUTES, LONGEST, TEXT, VERSION

_MOST: Final = (1 << 63) - 1


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
        root.required("stage").string(TEXT),
        Phase(phase),
        root.required("time_ns").integer(0, _MOST),
        root.required("monotonic_ns").integer(0, _MOST),
        _string(root, "id"),
        _attributes(root),
        _integer(root, "lost") or 0,
    )


def _string(root: Node, name: str) -> str:
    node = root.optional(name)
    return node.string(TEXT) if node else ""


def _integer(root: Node, name: str) -> int | None:
    node = root.optional(name)
    return node.integer(0, _MOST) if node else None


def _attributes(root: Node) -> dict[str, Value]:
    node = root.optional("attributes")
    if node is None:
        return {}
    found = node.object()
    if len(found) > ATTRIBUTES:
        raise node.wrong("too many")
    for value in found.values():
        if not (value is None or isinstance(value, str | int | float)):
            raise CorruptError("event: attributes: expected texts and numbers")
    return found
