"""From a configuration and the authority of an `hdfs:` address to its NameNodes. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from bootseer.errors import UsageError
from bootseer.hadoop.site import Site

RPC_PORT: Final = 8020
HTTP_PORT: Final = 9870
HTTPS_PORT: Final = 9871
_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  (it is taken for what it means)
_MOST: Final = 16
"""NameNodes of one nameservice."""


@dataclass(frozen=True, slots=True)
class NameNode:
    """Where a NameNode listens."""

    host: str
    """For HTTP."""
    port: int
    """For HTTP."""
    rpc: str = ""
    """`host:port` for Hadoop's own protocol; empty if only its HTTP address is known."""
    tls: bool = False
    """Whether its port is for HTTP over TLS."""

    @property
    def http(self) -> str:
        """`host:port` of its HTTP server."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def find_name_nodes(authority: str, site: Site) -> tuple[NameNode, ...]:
    """Return the NameNodes of `hdfs://authority`: a nameservice's, or the one that is named.

    Raises:
        UsageError: the configuration makes no sense, or there is no such nameservice.
    """
    if is_service(authority, site):
        return _of_service(authority, site)
    host, port = _split(authority, RPC_PORT, "an hdfs: address")
    rpc = _joined(host, port)
    for suffix in _suffixes(site):
        known = site.get(f"dfs.namenode.rpc-address{suffix}")
        if known and _split(known, RPC_PORT, f"dfs.namenode.rpc-address{suffix}") == (host, port):
            return (_http_of(rpc, suffix, site),)
    return (_http_of(rpc, "", site),)


def is_service(authority: str, site: Site) -> bool:
    """Return whether an authority is a nameservice of the configuration."""
    known = authority in site.words("dfs.nameservices")
    return known or bool(site.get(f"dfs.ha.namenodes.{authority}"))


def default_authority(site: Site) -> str:
    """Return the authority of `fs.defaultFS`. UsageError if that is no HDFS."""
    found = site.get("fs.defaultFS")
    scheme, _, rest = found.partition("://")
    authority = rest.partition("/")[0]
    if scheme != "hdfs" or not authority:
        raise UsageError(
            "the address names no NameNode, and fs.defaultFS no HDFS",
            hint="name one: hdfs://namenode:8020/directory, or set HADOOP_CONF_DIR",
        )
    return authority


def is_secure(site: Site) -> bool:
    """Return whether the cluster wants Kerberos."""
    return site.get("hadoop.security.authentication").lower() == "kerberos"


def _of_service(service: str, site: Site) -> tuple[NameNode, ...]:
    names = site.words(f"dfs.ha.namenodes.{service}")
    suffixes = [f".{service}.{name}" for name in names] or [f".{service}"]
    if len(suffixes) > _MOST:
        raise UsageError(f"dfs.ha.namenodes.{service}: more than {_MOST} NameNodes")
    found = []
    for suffix in suffixes:
        key = f"dfs.namenode.rpc-address{suffix}"
        if not site.get(key):
            raise UsageError(f"nameservice {service}: {key} is not set", hint="see hdfs-site.xml")
        found.append(_http_of(_joined(*_split(site.get(key), RPC_PORT, key)), suffix, site))
    return tuple(found)


def _suffixes(site: Site) -> list[str]:
    """Return what follows `dfs.namenode.rpc-address` for every NameNode of the configuration."""
    found = [""]
    for service in site.words("dfs.nameservices"):
        found.append(f".{service}")
        found += [f".{service}.{name}" for name in site.words(f"dfs.ha.namenodes.{service}")]
    return found


def _http_of(rpc: str, suffix: str, site: Site) -> NameNode:
    """Return a NameNode with the HTTP address that is configured for it, or the usual one."""
    tls = site.get("dfs.http.policy").upper() == "HTTPS_ONLY"
    usual = HTTPS_PORT if tls else HTTP_PORT
    key = f"dfs.namenode.{'https' if tls else 'http'}-address{suffix}"
    host, port = _split(site.get(key) or f"0.0.0.0:{usual}", usual, key)
    if host in _ANY or not suffix:
        # Without a suffix the address is of whichever NameNode reads it: only the port is sure.
        host = _split(rpc, RPC_PORT, "an RPC address")[0]
    return NameNode(host, port, rpc, tls)


def _split(text: str, port: int, what: str) -> tuple[str, int]:
    match = _HOST_PORT.fullmatch(text)
    number = int(match[2] or port) if match else 0
    if match is None or not 0 < number < 65_536:
        raise UsageError(f"{what}: {text[:100]!r} is no host:port")
    return match[1].strip("[]").lower(), number


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
