"""The credentials that pulls came with: only the kubelet has them, and hands them to the CRI.

They are kept in memory. What outlives the server is memory too: a file without a name that whoever
starts servers holds for them (`Keepsake`). They are good for the repository that they were handed
over for, and for no other.

Race-free: one event loop's thread, and nothing here awaits.
"""

import hashlib
import json
import logging
import os
from collections.abc import AsyncGenerator
from typing import Final

from cachetools import LRUCache

from bootseer.documents import Node, parse_document
from bootseer.errors import CorruptError
from snapshotter.registry.credentials import Credentials

log = logging.getLogger(__name__)

_REPOSITORIES: Final = 2048
_EACH: Final = 4
"""Credentials for one repository: pods with secrets of their own pull the same image."""
_LONGEST: Final = 64 << 10
_SUM: Final = 32
_MOST: Final = 16 << 20

_Key = tuple[str, str]


class Keepsake:
    """A memory file (memfd_create(2)) with the newest state, whole or not at all."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: of the file, which somebody else keeps open as well."""
        self._descriptor = descriptor

    def read(self) -> bytes:
        """Return what was written last; nothing if that was interrupted."""
        found = os.pread(self._descriptor, _MOST + _SUM, 0)
        total, data = found[:_SUM], found[_SUM:]
        return data if hashlib.sha256(data).digest() == total else b""

    def write(self, data: bytes) -> None:
        """Replace what is there; too much is not kept."""
        os.ftruncate(self._descriptor, 0)
        if len(data) <= _MOST:
            os.pwrite(self._descriptor, hashlib.sha256(data).digest() + data, 0)


class RememberedPulls:
    """Credentials by repository, the newest first. A worker that is handed one gets a copy."""

    def __init__(self, keepsake: Keepsake | None = None) -> None:
        """`keepsake`: where they outlive the server; None: nowhere."""
        self._keepsake = keepsake
        self._known: LRUCache[_Key, tuple[Credentials, ...]] = LRUCache(_REPOSITORIES)
        if keepsake is not None:
            self._restore(keepsake.read())

    def __reduce__(self) -> tuple[object, tuple[list[tuple[_Key, tuple[Credentials, ...]]]]]:
        """Pickle what is known: a worker is told over a pipe."""
        return _copy, (list(self._known.items()),)

    def remember(self, host: str, repository: str, credentials: Credentials) -> bool:
        """Keep credentials that a pull of a repository came with; say whether they are new."""
        longest = max(len(credentials.password), len(credentials.registry_token))
        if max(longest, len(credentials.identity_token), len(credentials.username)) > _LONGEST:
            return False
        key = (host, repository)
        others = [known for known in self._known.get(key, ()) if known != credentials]
        new = credentials not in self._known.get(key, ())
        self._known[key] = (credentials, *others)[:_EACH]
        if new:
            self._keep()
        return new

    def forget(self, host: str, repository: str, credentials: Credentials) -> None:
        """Drop credentials with which a pull failed."""
        key = (host, repository)
        left = tuple(known for known in self._known.pop(key, ()) if known != credentials)
        if left:
            self._known[key] = left
        self._keep()

    async def offers(self, host: str, repository: str) -> AsyncGenerator[Credentials]:
        """Yield what pulls of this repository came with."""
        for credentials in self._known.get((host, repository), ()):
            yield credentials

    def _keep(self) -> None:
        if self._keepsake is not None:
            self._keepsake.write(_encode(self._known))

    def _restore(self, data: bytes) -> None:
        try:
            found = _decode(data) if data else {}
        except CorruptError:
            log.warning("registry.pulls_forgotten")
            return
        for key, credentials in found.items():
            self._known[key] = credentials


def _copy(items: list[tuple[_Key, tuple[Credentials, ...]]]) -> RememberedPulls:
    made = RememberedPulls()
    for key, credentials in items:
        for one in reversed(credentials):
            made.remember(*key, one)
    return made


def _encode(known: "LRUCache[_Key, tuple[Credentials, ...]]") -> bytes:
    rows = [
        [*key, one.username, one.password, one.identity_token, one.registry_token]
        for key, credentials in known.items()
        for one in credentials
    ]
    return json.dumps(rows, separators=(",", ":")).encode()


def _decode(data: bytes) -> dict[_Key, tuple[Credentials, ...]]:
    rows = parse_document(data, "remembered pulls", _MOST).items(_REPOSITORIES * _EACH)
    found: dict[_Key, tuple[Credentials, ...]] = {}
    for row in rows:
        host, repository, *texts = [node.string() for node in row.items(6)]
        if len(texts) != len(("name", "password", "identity token", "registry token")):
            raise Node(None, row.document, row.path).wrong("six texts were expected")
        key = (host, repository)
        found[key] = (*found.get(key, ()), Credentials(*texts))
    return found
