"""What is said about snapshots, inside this package and to whoever serves it. Pure data.

Terms are containerd's: an *active* snapshot is writable, a *committed* one is not and may have
children, a *view* is a read-only snapshot of a committed one. *Name* and *key* are the same thing:
what containerd calls a snapshot by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """State of a snapshot; numbered as on the wire."""

    VIEW = 1
    ACTIVE = 2
    COMMITTED = 3


@dataclass(frozen=True, slots=True)
class Info:
    """What a client may know of a snapshot."""

    name: str
    parent: str
    """Name of the snapshot below; empty if there is none."""
    kind: Kind
    created_ns: int
    """Nanoseconds since the epoch. Committing starts both clocks again."""
    updated_ns: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a snapshot takes on disk without its parents."""

    size: int
    """Bytes."""
    inodes: int


@dataclass(frozen=True, slots=True)
class Mount:
    """What containerd passes to mount(2)."""

    type: str
    source: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One snapshot of a chain: where its tree lies."""

    id: int
    """Its directory's name, unless `layer` is set."""
    layer: str | None
    """What the layer provider calls the tree; None for a tree of our own directories."""
    pulled: str | None = None
    """Where `layer` is a stand-in: the layer in whose place it is."""


@dataclass(frozen=True, slots=True)
class Row:
    """A snapshot as it is stored."""

    link: Link
    info: Info
    usage: Usage
    """Known when committed, otherwise zero."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns the root directory of a tree, and its permission bits."""

    uid: int
    gid: int
    mode: int
