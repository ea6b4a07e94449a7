"""Where a registry is asked: its own address, and the mirrors in front of it.

Mirrors are configured where containerd has them: `certs.d/<host>/hosts.toml` (containerd
documentation, "Registry Configuration"). Pure; the files are read by `HostsDirectory`.
"""

import logging
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bootseer.errors import UsageError
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.reference import DOCKER_HUB, is_loopback

log = logging.getLogger(__name__)

PULL: Final = "pull"
"""May be asked for what is named by digest."""
RESOLVE: Final = "resolve"
"""May be asked what a tag, or a list of referrers, stands for: it is trusted."""
PUSH: Final = "push"
_CAPABILITIES: Final = frozenset({PULL, RESOLVE, PUSH})
_KNOWN: Final = frozenset(
    {"capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout"}
)
_DURATION: Final = re.compile(r"(?:(\d{1,9}(?:\.\d{0,9})?)(h|ms|m|s|us|µs|ns))", re.ASCII)
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class Tls:
    """How an endpoint's certificate is checked, and what we show it."""

    ca: tuple[str, ...] = ()
    """Files with certificates that are trusted besides the system's."""
    client: tuple[tuple[str, str | None], ...] = ()
    """Client certificates: (certificate file, key file)."""
    skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place that answers for a registry."""

    base: str
    """Address up to and including `/v2`, without a slash at the end."""
    registry: str
    """The registry it answers for, as references name it."""
    mirror: bool = False
    capabilities: frozenset[str] = _CAPABILITIES
    tls: Tls = Tls()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent to this endpoint only, never to where it redirects."""
    dial_timeout: float | None = None
    """Seconds that a connection to it may take; None: as long as to everybody."""

    @property
    def plain_http(self) -> bool:
        """Whether it is spoken to in the clear."""
        return self.base.startswith("http:")

    @property
    def credential_host(self) -> str:
        """The host under which credentials are kept."""
        return urlsplit(self.base).netloc if self.mirror else self.registry


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What the operator says of one registry in our own configuration."""

    plain_http: bool | None = None
    """None: plain HTTP for this machine's own addresses, HTTPS for all others."""
    ca: tuple[str, ...] = ()
    skip_verify: bool = False


def origin(registry: str, options: HostOptions = HostOptions()) -> Endpoint:
    """Return the endpoint of the registry itself."""
    plain = is_loopback(registry) if options.plain_http is None else options.plain_http
    host = "registry-1.docker.io" if registry == DOCKER_HUB else registry
    tls = Tls(ca=options.ca, skip_verify=options.skip_verify)
    return Endpoint(f"{'http' if plain else 'https'}://{host}/v2", registry, tls=tls)


def directory_names(registry: str) -> tuple[str, ...]:
    """Return the names under `certs.d` that are looked at, in order, as containerd has them."""
    host, colon, port = registry.rpartition(":")
    ported = bool(colon) and port.isdigit() and bool(host)
    return (*((f"{host}_{port}_",) if ported else ()), registry, "_default")


def parse_hosts_toml(text: str, default: Endpoint, directory: Path) -> tuple[Endpoint, ...]:
    """Return the endpoints that a `hosts.toml` names, in the order in which they are tried.

    The registry's own server (`server`, else `default`) comes last. Relative names of files are
    relative to `directory`, where the file lies.

    Raises:
        UsageError: the file is malformed.
    """
    where = str(directory / "hosts.toml")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: {error}") from error
    hosts = document.get("host", {})
    if not isinstance(hosts, dict):
        raise UsageError(f"{where}: host is not a table")
    mirrors = [
        _endpoint(address, table, default, directory, f"{where}: host.{address!a}")
        for address, table in hosts.items()
    ]
    server = document.get("server")
    if server is None:
        return (*mirrors, default)
    if not isinstance(server, str):
        raise UsageError(f"{where}: server is not a string")
    own = {name: value for name, value in document.items() if name in _KNOWN}
    last = _endpoint(server, own, default, directory, f"{where}: server")
    elsewhere = urlsplit(last.base).netloc != urlsplit(default.base).netloc
    return (*mirrors, replace(last, mirror=elsewhere))


def _endpoint(address: str, table: Any, default: Endpoint, directory: Path, where: str) -> Endpoint:
    if not isinstance(table, dict):
        raise UsageError(f"{where} is not a table")
    unknown = sorted(set(table) - _KNOWN)
    if unknown:
        fields = {"file": str(directory), "keys": unknown}
        log.info("registry.hosts.keys_ignored", extra={"fields": fields})
    override = _flag(table, "override_path", where)
    headers = tuple(
        (name, value)
        for name, values in _table(table, "header", where).items()
        for value in _strings(values, f"{where}.header")
    )
    return Endpoint(
        base=_base(address, override=override, where=where),
        registry=default.registry,
        mirror=True,
        capabilities=_capabilities(table, where),
        tls=Tls(
            ca=_files(table.get("ca", ()), directory, f"{where}.ca"),
            client=_clients(table.get("client", ()), directory, f"{where}.client"),
            skip_verify=_flag(table, "skip_verify", where),
        ),
        headers=headers,
        dial_timeout=_duration(table, "dial_timeout", where),
    )


def _base(address: str, *, override: bool, where: str) -> str:
    url = address if "://" in address else f"https://{address}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise UsageError(f"{where}: not an HTTP address")
    path = parts.path.rstrip("/")
    if not override and not path.endswith("/v2"):
        path += "/v2"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _capabilities(table: Mapping[str, Any], where: str) -> frozenset[str]:
    if "capabilities" not in table:
        return _CAPABILITIES
    named = frozenset(_strings(table["capabilities"], f"{where}.capabilities"))
    return named & _CAPABILITIES


def _flag(table: Mapping[str, Any], name: str, where: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(f"{where}.{name} is not true or false")
    return value


def _duration(table: Mapping[str, Any], name: str, where: str) -> float | None:
    """Read seconds as Go writes them (`1m30s`, `500ms`); nothing and zero are None."""
    value = table.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{where}.{name} is not a string")
    parts = _DURATION.findall(value)
    if "".join(number + unit for number, unit in parts) != value:
        raise UsageError(f"{where}.{name}: not a duration (like 500ms or 1m30s)")
    return sum(float(number) * _UNITS[unit] for number, unit in parts) or None


def _table(table: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise UsageError(f"{where}.{name} is not a table")
    return value


def _strings(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    if not all(isinstance(item, str) and item.isprintable() for item in values):
        raise UsageError(f"{where} is not a string or a list of strings")
    return tuple(values)


def _files(value: Any, directory: Path, where: str) -> tuple[str, ...]:
    return tuple(str(directory / name) for name in _strings(value, where))


def _clients(value: Any, directory: Path, where: str) -> tuple[tuple[str, str | None], ...]:
    """Read one file, a list of files, or a list of [certificate, key] pairs."""
    pairs: list[tuple[str, str | None]] = []
    for item in (value,) if isinstance(value, str) or not isinstance(value, Sequence) else value:
        certificate, *keys = _strings(item, where) or ("",)
        if not certificate or len(keys) > 1:
            raise UsageError(f"{where}: wanted is a certificate, or a certificate and a key")
        key = str(directory / keys[0]) if keys and keys[0] else None
        pairs.append((str(directory / certificate), key))
    return tuple(pairs)


def docker_certificates(directory: Path) -> Tls | None:
    """Return the certificates in a directory without a `hosts.toml`, as docker has them there:
    `*.crt` of authorities, `*.cert` of ours with `*.key`. None if there are none. Reads files.
    """
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError:
        return None
    ca = tuple(str(directory / name) for name in names if name.endswith(".crt"))
    ours = [name.removesuffix(".cert") for name in names if name.endswith(".cert")]
    client = tuple(
        (str(directory / f"{name}.cert"), str(directory / f"{name}.key")) for name in ours
    )
    return Tls(ca=ca, client=client) if ca or client else None


@dataclass(frozen=True, slots=True)
class HostsDirectory:
    """Finds the endpoints of registries: our own options, then containerd's `certs.d`."""

    options: Mapping[str, HostOptions] = field(default_factory=dict)
    """By registry, as references name it."""
    directories: tuple[Path, ...] = ()
    """`certs.d` directories; the first that knows a registry decides."""
    limits: Limits = DEFAULT

    def endpoints(self, registry: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a registry, at least one, in the order to try them.

        `registry` is from a `Reference`, so that it is safe as a file name. Reads files.

        Raises:
            UsageError: the configuration is malformed.
        """
        default = origin(registry, self.options.get(registry, HostOptions()))
        for directory in self.directories:
            for name in directory_names(registry):
                text = self._read(directory / name / "hosts.toml")
                if text is not None:
                    return parse_hosts_toml(text, default, directory / name)
                if tls := docker_certificates(directory / name):
                    return (replace(default, tls=tls),)
        return (default,)

    def _read(self, path: Path) -> str | None:
        try:
            with path.open("rb") as file:
                data = file.read(self.limits.local_config + 1)
            if len(data) > self.limits.local_config:
                raise UsageError(f"{path} is too large")
            return data.decode()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {path}: {error}") from error
