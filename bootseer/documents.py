"""JSON documents from strangers, read with the place in every error: `layers[3].digest`. Pure."""

import json
from dataclasses import dataclass
from typing import Any, Final

from bootseer.digests import is_digest
from bootseer.errors import CorruptError

_NAMES: Final = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    type(None): "null",
}
_LONGEST_STRING: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Node:
    """A value inside a document, and where it is. Every method raises `CorruptError`."""

    value: Any
    document: str
    """What the whole is, for the error: `manifest sha256:...`."""
    path: str = ""

    def wrong(self, problem: str) -> CorruptError:
        """Return the error that this value has `problem`."""
        place = f"{self.document}: {self.path}" if self.path else self.document
        return CorruptError(f"{place}: {problem}")

    def optional(self, name: str) -> "Node | None":
        """Return a member of this object; None if it is missing or null."""
        value = self.object().get(name)
        if value is None:
            return None
        return Node(value, self.document, f"{self.path}.{name}" if self.path else name)

    def required(self, name: str) -> "Node":
        """Return a member of this object."""
        member = self.optional(name)
        if member is None:
            raise self.wrong(f"'{name}' is missing")
        return member

    def object(self) -> dict[str, Any]:
        """Return this object."""
        if not isinstance(self.value, dict):
            raise self._expected("an object")
        return self.value

    def items(self, most: int) -> "list[Node]":
        """Return the items of this list, at most `most`."""
        if not isinstance(self.value, list):
            raise self._expected("a list")
        if len(self.value) > most:
            raise self.wrong(f"{len(self.value)} items, at most {most} are accepted")
        return [Node(item, self.document, f"{self.path}[{i}]") for i, item in enumerate(self.value)]

    def string(self, most: int = _LONGEST_STRING) -> str:
        """Return this string, of at most `most` characters, which has a UTF-8 form."""
        if not isinstance(self.value, str):
            raise self._expected("a string")
        if len(self.value) > most:
            raise self.wrong(f"{len(self.value)} characters, at most {most} are accepted")
        try:
            self.value.encode()
        except UnicodeEncodeError as error:
            raise self.wrong("not Unicode") from error
        return self.value

    def integer(self, low: int, high: int) -> int:
        """Return this integer, from `low` to `high`, both included."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self._expected("an integer")
        if not low <= self.value <= high:
            raise self.wrong(f"not between {low} and {high}")
        return self.value

    def digest(self) -> str:
        """Return this digest."""
        text = self.string()
        if not is_digest(text):
            raise self.wrong(f"{text[:100]!a} is not a sha256 digest")
        return text

    def strings(self) -> dict[str, str]:
        """Return this object whose members are all strings (annotations)."""
        return {name: node.string() for name, node in self._members()}

    def _members(self) -> "list[tuple[str, Node]]":
        members = []
        for name, value in self.object().items():
            node = Node(value, self.document, f"{self.path}[{name[:100]!a}]")
            Node(name, self.document, self.path).string()
            members.append((name, node))
        return members

    def _expected(self, what: str) -> CorruptError:
        found = _NAMES.get(type(self.value), "something else")
        return self.wrong(f"expected {what}, found {found}")


def parse_document(data: bytes, name: str, most: int) -> Node:
    """Return the root of a JSON document of at most `most` bytes.

    Raises:
        CorruptError: it is not JSON in UTF-8, or too long.
    """
    if len(data) > most:
        raise CorruptError(f"{name}: {len(data)} bytes, at most {most} are accepted")
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{name}: not a JSON document") from error
    return Node(value, name)


def error_said(data: bytes, status: int, who: str) -> str:
    """Return what a daemon's answer says is wrong: its `error`, else that it has this status."""
    try:
        return parse_document(data, "answer", len(data)).required("error").string()
    except CorruptError:
        return f"{who} answers {status}; its log says why"
