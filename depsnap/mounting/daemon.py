"""Asks the node's daemon for a mount: HTTP over a Unix socket, by the standard library.

A hit has to be short, and an HTTP client of its own would take longer to import than all the rest.
"""

import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bootseer.documents import Node, error_said, parse_document
from bootseer.errors import BootseerError, CorruptError, NotFoundError
from depsnap.limits import DEFAULT

_MOST: Final = 1 << 20
_FOUND: Final = 200
_ABSENT: Final = 404


class NotMountedError(BootseerError):
    """There is no mount; the snapshot can still be unpacked."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """What the daemon has mounted."""

    points: tuple[str, ...]
    """Directories that are covered, without the slash in front."""
    loose: int
    """Entries outside of them, which are left to be unpacked."""
    digest: str
    """Of the snapshot's head."""
    entries: int
    fresh_until: int | None
    users: Mapping[int, str]
    groups: Mapping[int, str]
    """Names of the numbers that own what is mounted, where it was captured."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon behind a socket."""

    path: Path
    patience: float
    """Seconds that an answer may take."""

    def mount(self, question: Mapping[str, Any]) -> Mounted:
        """Have a snapshot mounted; the question is that of `POST /v1/deps/mount`.

        Raises:
            NotFoundError: there is no such snapshot, or none that is fresh.
            NotMountedError: nobody answers, or it is not allowed.
        """
        root = self._ask("/v1/deps/mount", question)
        try:
            fresh = root.optional("fresh_until")
            return Mounted(
                tuple(one.string() for one in root.required("points").items(DEFAULT.roots)),
                root.required("loose").integer(0, DEFAULT.entries),
                root.required("digest").string(),
                root.required("entries").integer(0, DEFAULT.entries),
                fresh.integer(0, 1 << 62) if fresh else None,
                _names(root.required("users")),
                _names(root.required("groups")),
            )
        except CorruptError as error:
            raise NotMountedError(error.message) from error

    def unmount(self, roots: Sequence[str]) -> tuple[str, ...]:
        """Have directories uncovered; return those that were covered.

        Raises:
            NotMountedError: nobody answers, one is in use, or it is not allowed.
        """
        root = self._ask("/v1/deps/unmount", {"roots": list(roots)})
        try:
            done = root.required("unmounted").items(DEFAULT.entries)
            return tuple(f"/{one.string()}" for one in done)
        except CorruptError as error:
            raise NotMountedError(error.message) from error

    def _ask(self, path: str, question: Mapping[str, Any]) -> Node:
        connection = _Connection(self.path, self.patience)
        try:
            connection.request("POST", path, json.dumps(question).encode())
            answer = connection.getresponse()
            status, data = answer.status, answer.read(_MOST)
        except (OSError, http.client.HTTPException) as error:
            raise NotMountedError(
                f"the node's daemon does not answer on {self.path}: {error}"
            ) from error
        finally:
            connection.close()
        if status != _FOUND:
            refusal = NotFoundError if status == _ABSENT else NotMountedError
            raise refusal(error_said(data, status, "the node's daemon"))
        try:
            return parse_document(data, "the daemon's answer", _MOST)
        except CorruptError as error:
            raise NotMountedError(error.message) from error


def _names(node: Node) -> Mapping[int, str]:
    try:
        return {int(number): str(name) for number, name in node.object().items()}
    except ValueError as error:
        raise node.wrong("not numbers with names") from error


class _Connection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
