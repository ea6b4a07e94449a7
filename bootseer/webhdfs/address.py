"""Addresses of HDFS directories. Pure.

`webhdfs://[user@]host:port/path` names the HTTP port of one NameNode, `swebhdfs:` that for HTTP
over TLS. `hdfs://[user@]authority/path`
names a nameservice of Hadoop's configuration, or a NameNode by its RPC port; `hdfs:///path` is the
configuration's `fs.defaultFS`.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from bootseer.errors import UsageError
from bootseer.hadoop.cluster import (
    HTTP_PORT,
    HTTPS_PORT,
    NameNode,
    default_authority,
    find_name_nodes,
    is_secure,
    is_service,
)
from bootseer.hadoop.site import Site

_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}")
_USUAL_PORT: Final = {"webhdfs": HTTP_PORT, "swebhdfs": HTTPS_PORT}
_HINT: Final = "hdfs://[user@]nameservice/directory or webhdfs://[user@]namenode:9870/directory"


@dataclass(frozen=True, slots=True)
class HdfsAddress:
    """Where the objects are, and who we are there."""

    name_nodes: tuple[NameNode, ...]
    """One of them is active. Not empty."""
    root: str
    """A directory, without a slash at its end; empty for the root directory."""
    user: str
    secure: bool = False
    """Whether who we are is proved by Kerberos."""
    service: str = ""
    """The nameservice, if it is one."""

    @property
    def authority(self) -> str:
        """What `hdfs://` is followed by; empty if no more is known than an HTTP port."""
        return self.service or self.name_nodes[0].rpc


def parse_address(text: str, user: str, site: Site | None = None) -> HdfsAddress:
    """Return what an address says; `user` is who we are if it says nothing of that.

    Raises:
        UsageError: it is no such address, or `site` knows no such nameservice.
    """
    site = site or Site()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is no address: {error}") from error
    root = unquote(parts.path).rstrip("/")
    name = parts.username or user
    words = root.split("/")[1:]
    usable = (
        (parts.scheme == "hdfs" or (parts.scheme in _USUAL_PORT and parts.hostname))
        and not (parts.query or parts.fragment or parts.password)
        and all(word not in {"", ".", ".."} for word in words)
        and root.isprintable()
        and ":" not in root  # HDFS has no such names
        and _USER.fullmatch(name)
    )
    if not usable:
        raise UsageError(f"{text!r} is no HDFS directory", hint=_HINT)
    authority = parts.netloc.rpartition("@")[2]
    if parts.scheme == "hdfs":
        authority = authority or default_authority(site)
    service = authority if port is None and is_service(authority, site) else ""
    if parts.scheme in _USUAL_PORT and not service:
        tls = parts.scheme == "swebhdfs"
        node = NameNode(parts.hostname or "", port or _USUAL_PORT[parts.scheme], tls=tls)
        nodes: tuple[NameNode, ...] = (node,)
    else:
        nodes = find_name_nodes(authority, site)
    return HdfsAddress(nodes, root, name, is_secure(site), service)
