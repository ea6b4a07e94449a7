"""The head of a snapshot: what it is of, readable by people; <-> bytes. Pure.

The layout is in `docs/formats/dependency-snapshot.md`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from bootseer.documents import Node, parse_document
from bootseer.errors import CorruptError
from depsnap.key.ingredients import Ingredient
from depsnap.limits import DEFAULT, Limits
from depsnap.tree.check import check_digest

FORMAT: Final = "bootseer-dependency-snapshot"
VERSION: Final = 2
_DIGEST_LINE: Final = 65
"""Bytes of the first line, with its end."""
_LATEST: Final = 1 << 40
"""A time no snapshot is made at, in seconds since 1970."""
_LARGEST: Final = 1 << 62
_MOST_ID: Final = (1 << 32) - 1


class OtherVersionError(CorruptError):
    """Another version of bootseer wrote it, which may well be able to read it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a snapshot is of, and the digest of its tree."""

    name: str
    """Of the job, as its user calls it."""
    key: str
    created: int
    """Seconds since 1970, by the clock of the node that made it."""
    fresh_until: int | None
    """From then on somebody should run the command again; None: never."""
    command: tuple[str, ...]
    """Without secrets."""
    roots: tuple[str, ...]
    capture: str
    """How it was captured: `overlay`, `user overlay`, `scan`."""
    seconds: float
    """What the command took, which bounds how long others wait for it."""
    ingredients: tuple[Ingredient, ...]
    tree: str
    """SHA-256 of the tree's file, hexadecimal."""
    tree_size: int
    """Bytes of that file."""
    entries: int
    size: int
    """Bytes of all files."""
    stored: int
    """Bytes of all packs."""
    users: Mapping[int, str] = field(default_factory=dict)
    """Names of the numbers in the tree, on the node that made it."""
    groups: Mapping[int, str] = field(default_factory=dict)


def encode_head(head: Head) -> bytes:
    """Return the file for a head."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "name": head.name,
        "key": head.key,
        "created": head.created,
        "fresh_until": head.fresh_until,
        "command": list(head.command),
        "roots": list(head.roots),
        "capture": head.capture,
        "milliseconds": round(head.seconds * 1000),
        "ingredients": [
            {"name": one.name, "digest": one.digest, "detail": list(one.detail)}
            for one in head.ingredients
        ],
        "tree": {"digest": head.tree, "size": head.tree_size},
        "entries": head.entries,
        "size": head.size,
        "stored": head.stored,
        "users": {str(number): name for number, name in head.users.items()},
        "groups": {str(number): name for number, name in head.groups.items()},
    }
    text = json.dumps(document, indent=1).encode()
    return sha256(text).hexdigest().encode() + b"\n" + text


def decode_head(data: bytes, limits: Limits = DEFAULT) -> Head:
    """Return the head that a file holds.

    Raises:
        OtherVersionError: it is of a version that this program does not read.
        CorruptError: it is none.
    """
    digest_line, _, text = data[: limits.head + _DIGEST_LINE].partition(b"\n")
    if digest_line != sha256(text).hexdigest().encode():
        raise CorruptError("snapshot head: its bytes have another digest than its first line says")
    root = parse_document(text, "snapshot head", limits.head)
    if root.required("format").string() != FORMAT:
        raise root.wrong("not the head of a snapshot")
    version = root.required("version").integer(0, 1 << 32)
    if version != VERSION:
        raise OtherVersionError(
            f"snapshot head: version {version}, this program reads version {VERSION}",
            hint="another version of bootseer wrote it",
        )
    tree = root.required("tree")
    key, digest = root.required("key").string(), tree.required("digest").string()
    check_digest(key, "key")
    check_digest(digest, "tree")
    fresh = root.optional("fresh_until")
    return Head(
        name=root.required("name").string(limits.name),
        key=key,
        created=root.required("created").integer(0, _LATEST),
        fresh_until=fresh.integer(0, _LATEST) if fresh else None,
        command=_texts(root.required("command"), limits.words, limits.word),
        roots=_roots(root.required("roots"), limits),
        capture=root.required("capture").string(limits.title),
        seconds=root.required("milliseconds").integer(0, _LATEST) / 1000,
        ingredients=tuple(
            _ingredient(one, limits)
            for one in root.required("ingredients").items(limits.ingredients)
        ),
        tree=digest,
        tree_size=tree.required("size").integer(1, limits.tree_stored),
        entries=root.required("entries").integer(0, limits.entries),
        size=root.required("size").integer(0, _LARGEST),
        stored=root.required("stored").integer(0, _LARGEST),
        users=_names(root.required("users"), limits),
        groups=_names(root.required("groups"), limits),
    )


def _ingredient(node: Node, limits: Limits) -> Ingredient:
    digest = node.required("digest").string()
    check_digest(digest, "ingredient")
    detail = _texts(node.required("detail"), limits.detail_lines, limits.detail_line)
    return Ingredient(node.required("name").string(limits.path), digest, detail)


def _texts(node: Node, most: int, longest: int) -> tuple[str, ...]:
    return tuple(one.string(longest) for one in node.items(most))


def _roots(node: Node, limits: Limits) -> tuple[str, ...]:
    roots = _texts(node, limits.roots, limits.path)
    if not roots or not all(root.startswith("/") and "\0" not in root for root in roots):
        raise node.wrong("not absolute paths")
    return roots


def _names(node: Node, limits: Limits) -> dict[int, str]:
    found = {}
    for text, name in node.strings().items():
        if not (text.isascii() and text.isdecimal()) or len(text) > 10 or len(name) > limits.name:
            raise node.wrong("not numbers and names")
        if int(text) > _MOST_ID:
            raise node.wrong("a number too large")
        found[int(text)] = name
    return found
