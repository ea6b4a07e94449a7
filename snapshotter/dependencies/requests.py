"""What is asked for and answered, as JSON. Pure."""

import json
from dataclasses import dataclass
from typing import Any, Final

from bootseer.documents import Node
from bootseer.errors import CorruptError, UsageError
from depsnap.limits import DEFAULT
from depsnap.snapshots.names import check_job, check_key

MOST: Final = 64 << 10
"""Bytes of a question."""
_WORKLOAD: Final = 1024


@dataclass(frozen=True, slots=True)
class MountRequest:
    """A snapshot that is to be mounted."""

    name: str
    key: str
    roots: tuple[str, ...]
    store: str = ""
    """Where it is; empty: the node's store."""
    stale: bool = False
    """Also if the step should be run again by now."""
    digest: str = ""
    """Of the head of the only one that counts; empty: the newest does."""


def parse_mount(data: bytes) -> MountRequest:
    """Parse a question. UsageError if it is none."""
    root = _document(data)
    try:
        stale = root.required("stale").value if root.optional("stale") else False
        if not isinstance(stale, bool):
            raise root.wrong("'stale' is not true or false")
        store, digest = root.optional("store"), root.optional("digest")
        return MountRequest(
            check_job(root.required("name").string(200)),
            check_key(root.required("key").string(64)),
            _paths(root.required("roots")),
            store.string(1024) if store else "",
            stale,
            digest.string(64) if digest else "",
        )
    except CorruptError as error:
        raise UsageError(error.message) from error


def parse_unmount(data: bytes) -> tuple[str, ...]:
    """Parse the directories that are to be uncovered. UsageError if there are none."""
    try:
        return _paths(_document(data).required("roots"))
    except CorruptError as error:
        raise UsageError(error.message) from error


def _document(data: bytes) -> Node:
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError("the question is no JSON document") from error
    return Node(value, "question")


def _paths(node: Node) -> tuple[str, ...]:
    paths = tuple(item.string(DEFAULT.path) for item in node.items(DEFAULT.roots))
    if not paths or not all(_is_plain(path) for path in paths):
        raise node.wrong("not absolute paths")
    return paths


def _is_plain(path: str) -> bool:
    """Say whether it is an absolute path without empty, `.` or `..` parts."""
    parts = path.split("/")
    below = parts[0] == "" and len(parts) > 1 and not {"", ".", ".."} & set(parts[1:])
    return (below or path == "/") and "\0" not in path
