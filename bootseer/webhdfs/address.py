"""`webhdfs://[user@]host:port/path`: an HDFS directory, by the HTTP port of its NameNode. Pure."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from bootseer.errors import UsageError

_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}")
_PORT: Final = 9870


@dataclass(frozen=True, slots=True)
class HdfsAddress:
    """Where the objects are, and who we are there."""

    host: str
    port: int
    root: str
    """A directory, without a slash at its end; empty for the root directory."""
    user: str


def parse_address(text: str, user: str) -> HdfsAddress:
    """Return what an address says; `user` is who we are if it says nothing of that.

    Raises:
        UsageError: it is no such address.
    """
    try:
        parts = urlsplit(text)
        port = parts.port or _PORT
    except ValueError as error:
        raise UsageError(f"{text!r} is no address: {error}") from error
    root = unquote(parts.path).rstrip("/")
    name = parts.username or user
    words = root.split("/")[1:]
    usable = (
        parts.scheme == "webhdfs"
        and parts.hostname
        and not (parts.query or parts.fragment or parts.password)
        and all(word not in {"", ".", ".."} for word in words)
        and root.isprintable()
        and ":" not in root  # HDFS has no such names
        and _USER.fullmatch(name)
    )
    if not usable:
        raise UsageError(
            f"{text!r} is no HDFS directory", hint="webhdfs://[user@]namenode:9870/directory"
        )
    return HdfsAddress(parts.hostname or "", port, root, name)
