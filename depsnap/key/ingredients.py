"""What a key is made of. Pure."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from depsnap.key.redaction import redact_text
from depsnap.limits import DEFAULT, Limits

SCHEMA: Final = "1"
"""Part of every key: raised when what goes into keys, or how it is captured, changes."""


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One thing that the outcome of a command depends on."""

    name: str
    digest: str
    """SHA-256, hexadecimal."""
    detail: tuple[str, ...] = ()
    """The same for people, line by line, without secrets; cut off where it is long."""


def ingredient(
    name: str, lines: Iterable[str], content: bytes | None = None, limits: Limits = DEFAULT
) -> Ingredient:
    """Return an ingredient of these lines; of `content` where the lines are only how it is shown.

    Secrets in addresses count neither for the digest of the lines nor are they shown.
    """
    shown = [redact_text(line) for line in lines]
    if content is None:
        content = "\0".join(shown).encode("utf-8", "surrogateescape")
    detail = tuple(_printable(line)[: limits.detail_line] for line in shown[: limits.detail_lines])
    return Ingredient(_printable(name), hashlib.sha256(content).hexdigest(), detail)


def key_of(ingredients: Sequence[Ingredient]) -> str:
    """Return the key: SHA-256 over names and digests, in order."""
    pairs = [[one.name, one.digest] for one in ingredients]
    return hashlib.sha256(json.dumps(pairs, separators=(",", ":")).encode()).hexdigest()


def _printable(text: str) -> str:
    """Return a text that survives JSON in UTF-8 and a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
