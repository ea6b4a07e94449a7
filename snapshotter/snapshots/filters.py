"""containerd's filter expressions: parsed, and matched against one snapshot. Pure.

    labels."containerd.io/snapshot.ref"==sha256:5f70…,parent==""
    kind==active,name~=/^k8s/

Grammar (containerd `pkg/filters`)
    selectors = selector *("," selector)        all of them must match
    selector  = path [operator value]           without operator: the field is there
    path      = field *("." field)
    field     = quoted / 1*(ALPHA / DIGIT / "_")
    operator  = "==" / "!=" / "~="
    value     = quoted / 1*(visible character but ",")
    quoted    = a Go string in double quotes; after "~=" also between "/" or "|"
White space is allowed in front of a token. A value that starts with a quote, an operator or a
separator character must be quoted. The empty expression matches everything.

Unlike containerd, which lets them match nothing, a malformed regular expression and escaped bytes
that are not UTF-8 are errors.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from bootseer.errors import UsageError
from snapshotter.limits import DEFAULT, Limits
from snapshotter.snapshots.records import Info

_FIELD: Final = re.compile(r"[A-Za-z0-9_]+")
_OPERATOR: Final = re.compile(r"[=!~]+")
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\])|([0-7]{3})|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))"
)
_SIMPLE: Final = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
}
_QUOTES: Final = '"/|'
_VISIBLE: Final = "LMNPS"
"""First letters of the Unicode categories that an unquoted value is made of."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One condition on one field."""

    path: tuple[str, ...]
    operator: str
    """`==`, `!=`, `~=`, or empty for "is there"."""
    value: str

    def matches(self, info: Info) -> bool:
        """Tell whether the snapshot meets the condition.

        To `!=` and `~=` a field that is not there is empty.
        """
        found = field(info, self.path)
        match self.operator:
            case "==":
                return found is not None and found == self.value
            case "!=":
                return (found or "") != self.value
            case "~=":
                return re.search(self.value, found or "") is not None
            case _:
                return found is not None


@dataclass(frozen=True, slots=True)
class Filter:
    """A predicate on snapshots."""

    alternatives: tuple[tuple[Selector, ...], ...]
    """One of them has to match, with all its selectors; none at all lets everything through."""

    def __call__(self, info: Info) -> bool:
        """Tell whether the snapshot is let through."""
        return not self.alternatives or any(
            all(selector.matches(info) for selector in selectors) for selectors in self.alternatives
        )

    @property
    def needed_label(self) -> tuple[str, str] | None:
        """A label, with its value, that everything let through has: something to look up by."""
        if len(self.alternatives) != 1:
            return None
        for selector in self.alternatives[0]:
            if selector.path[0] == "labels" and selector.operator == "==":
                return ".".join(selector.path[1:]), selector.value
        return None


def parse(text: str, limits: Limits = DEFAULT) -> tuple[Selector, ...]:
    """Return the conditions of one expression. UsageError, with the place, if it is malformed."""
    if len(text) > limits.filter:
        raise UsageError(f"filter of {len(text)} characters exceeds {limits.filter}")
    return _Parser(text).selectors() if text else ()


def parse_all(texts: Sequence[str], limits: Limits = DEFAULT) -> Filter:
    """Return a predicate that is true if any expression matches, or if there is none."""
    if len(texts) > limits.filters:
        raise UsageError(f"{len(texts)} filters exceed {limits.filters}")
    return Filter(tuple(parse(text, limits) for text in texts))


def field(info: Info, path: Sequence[str]) -> str | None:
    """Return a field of a snapshot, or None if it has no such field."""
    fields: Mapping[str, str] = {
        "name": info.name,
        "parent": info.parent,
        "kind": info.kind.name.lower(),
    }
    if path[0] == "labels":
        return info.labels.get(".".join(path[1:]))
    return fields.get(path[0])


class _Parser:
    """Recursive descent over one expression; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def selectors(self) -> tuple[Selector, ...]:
        found = [self.selector()]
        while self.at < len(self.text):
            if not self.text.startswith(",", self.at):
                self.fail("unexpected input")
            self.at += 1
            found.append(self.selector())
        return tuple(found)

    def selector(self) -> Selector:
        path = [self.field()]
        while self.text.startswith(".", self.at):
            self.at += 1
            path.append(self.field())
        if self.at == len(self.text) or self.text[self.at] == ",":
            return Selector(tuple(path), "", "")
        operator = self.operator()
        value = self.value(operator)
        return Selector(tuple(path), operator, value)

    def field(self) -> str:
        self.skip_space()
        if self.text.startswith('"', self.at):
            return self.quoted()
        return self.take(_FIELD, "a field name")

    def operator(self) -> str:
        self.skip_space()
        start = self.at
        operator = self.take(_OPERATOR, "an operator")
        if operator not in ("==", "!=", "~="):
            self.at = start
            self.fail(f"unsupported operator {operator!r}")
        return operator

    def value(self, operator: str) -> str:
        self.skip_space()
        start = self.at
        quote = self.text[start : start + 1]
        if quote and quote in _QUOTES:
            if quote != '"' and operator != "~=":
                self.fail("this quote is for regular expressions")
            value = self.quoted()
        else:
            value = self.bare()
        if operator == "~=":
            self.check_pattern(value, start)
        return value

    def bare(self) -> str:
        start = self.at
        if self.text[start : start + 1] in ("", ",", "\0", "\ufffd"):
            self.fail("a value is missing")
        if self.text.startswith((".", "=", "!", "~"), start):
            self.fail("a value that starts so must be quoted")
        self.at += 1
        while self.at < len(self.text) and _is_value(self.text[self.at]):
            self.at += 1
        return self.text[start : self.at]

    def quoted(self) -> str:
        quote = self.text[self.at]
        self.at += 1
        value = bytearray()
        while (character := self.text[self.at : self.at + 1]) != quote:
            if character == "\\":
                value += self.escape(quote)
            elif character in ("", "\n", "\0", "\ufffd"):
                self.fail("unterminated quote or illegal character in it")
            else:
                value += character.encode("utf-8", "surrogatepass")
                self.at += 1
        self.at += 1
        try:
            return value.decode()
        except UnicodeDecodeError:
            self.fail("the bytes escaped in the quote before are not UTF-8")

    def escape(self, quote: str) -> bytes:
        if self.text.startswith(quote, self.at + 1):
            self.at += 2
            return quote.encode()
        found = _ESCAPE.match(self.text, self.at)
        if not found:
            self.fail("illegal escape")
        simple, octal, byte, short, long = found.groups()
        number = int(octal, 8) if octal else int(byte or short or long or "0", 16)
        if number > (0xFF if octal else 0x10FFFF) or 0xD800 <= number < 0xE000:
            self.fail("escape for a character that does not exist")
        self.at = found.end()
        if simple:
            return _SIMPLE[simple]
        return chr(number).encode() if short or long else bytes([number])

    def check_pattern(self, pattern: str, start: int) -> None:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            self.at = start
            self.fail(f"malformed regular expression: {error}")

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self.text, self.at)
        if not found:
            self.fail(f"{what} is missing")
        self.at = found.end()
        return found.group()

    def skip_space(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def fail(self, why: str) -> NoReturn:
        shown = self.text if len(self.text) <= 200 else f"{self.text[:200]}…"
        raise UsageError(f"filter {shown!r}, character {self.at + 1}: {why}")


def _is_value(character: str) -> bool:
    return character not in (",", "\ufffd") and unicodedata.category(character)[0] in _VISIBLE
