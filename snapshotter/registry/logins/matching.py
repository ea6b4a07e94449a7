"""Which entries of a list of registries are meant by an image: the kubelet's rules. Pure.

An entry is `host[:port][/path]`, where a part of the host between dots may have `*` and `?` in it
(`*.azurecr.io`) and stands for exactly one part. Ports have to be equal, a path is a prefix of the
repository in whole words. A scheme in front, and `/v1/` or `/v2/` behind docker's old addresses, do
not count. Docker Hub has one name, whichever of its names is written.
"""

import fnmatch
import re
from collections.abc import Iterable
from typing import Final

from snapshotter.registry.reference import DOCKER_HUB

_HUB: Final = frozenset({"index.docker.io", "registry-1.docker.io", DOCKER_HUB})
_VERSION: Final = re.compile(r"/v[12](?=/|\Z)")
_SCHEME: Final = re.compile(r"https?://")


def split_entry(entry: str) -> tuple[str, str]:
    """Return host (with its port) and path of an entry, without slashes around the path."""
    host, _, path = _SCHEME.sub("", entry, count=1).partition("/")
    path = _VERSION.sub("", f"/{path}", count=1)
    return DOCKER_HUB if host in _HUB else host, path.strip("/")


def matches(entry: str, host: str, repository: str) -> bool:
    """Say whether an entry means the repository at `host[:port]`."""
    wanted, path = split_entry(entry)
    return _host_matches(wanted, split_entry(host)[0]) and (
        not path or repository == path or repository.startswith(f"{path}/")
    )


def best_first(entries: Iterable[str], host: str, repository: str) -> list[str]:
    """Return the entries that mean a repository: longest path first, then plain hosts first."""

    def rank(entry: str) -> tuple[int, bool, str]:
        wanted, path = split_entry(entry)
        return -len(path), "*" in wanted or "?" in wanted, entry

    return sorted((entry for entry in entries if matches(entry, host, repository)), key=rank)


def _host_matches(wanted: str, host: str) -> bool:
    names, colon, port = _split_port(wanted)
    given, given_colon, given_port = _split_port(host)
    if (colon, port) != (given_colon, given_port):
        return False
    parts, given_parts = names.split("."), given.split(".")
    return len(parts) == len(given_parts) and all(
        fnmatch.fnmatchcase(part, pattern.replace("[", "[[]"))
        for part, pattern in zip(given_parts, parts, strict=True)
    )


def _split_port(host: str) -> tuple[str, str, str]:
    name, colon, port = host.rpartition(":")
    return (name, colon, port) if colon and port.isdigit() else (host, "", "")
