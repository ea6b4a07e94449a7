"""Who we are to a registry: credentials and where they come from.

Sources are asked in order; adding one (a credential helper, the kubelet's plugins, an image pull
secret) is one class with one method.
"""

import base64
import binascii
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from bootseer.errors import UsageError
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.reference import DOCKER_HUB

log = logging.getLogger(__name__)

_DOCKER_HUB_KEY: Final = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and secret, or an identity token. Never shown by `repr`."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    """A refresh token for the token service (OAuth2); then name and password do not matter."""

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


class CredentialSource(Protocol):
    """Knows credentials for some registries. Must pickle, to be handed to workers."""

    async def credentials(self, host: str, repository: str) -> Credentials | None:
        """Return the credentials for a repository at `host[:port]`, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Knows nobody."""

    async def credentials(self, host: str, repository: str) -> Credentials | None:
        """Return None."""
        del host, repository
        return None


@dataclass(frozen=True, slots=True)
class FirstKnown:
    """The answer of the first source that has one."""

    sources: Sequence[CredentialSource]

    async def credentials(self, host: str, repository: str) -> Credentials | None:
        """Return the first source's answer that is not None."""
        for source in self.sources:
            if found := await source.credentials(host, repository):
                return found
        return None


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The `auths` of docker's `config.json`, as `docker login` writes them.

    The file is read anew each time: it is small, and rotated by others.
    """

    path: Path
    limits: Limits = DEFAULT

    async def credentials(self, host: str, repository: str) -> Credentials | None:
        """Return what the file says of the host; None if it says nothing, or is not there.

        Raises:
            UsageError: the file cannot be understood.
        """
        del repository
        try:
            with self.path.open("rb") as file:
                data = file.read(self.limits.local_config + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror}") from error
        if len(data) > self.limits.local_config:
            raise UsageError(f"{self.path} is too large for a docker configuration")
        return parse_docker_config(data, str(self.path)).get(_normal(host))


def parse_docker_config(data: bytes, name: str) -> dict[str, Credentials]:
    """Return the credentials in a docker `config.json` by host. `name` is for the errors.

    Raises:
        UsageError: it is malformed. The message never quotes the file's contents.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{name} is not JSON") from None
    auths = document.get("auths", {}) if isinstance(document, dict) else None
    if not isinstance(auths, dict):
        raise UsageError(f"{name}: 'auths' is not an object")
    found = {}
    for key, entry in auths.items():
        credentials = _entry(entry, f"{name}: auths[{key!a}]")
        if credentials is not None:
            found[_normal(key)] = credentials
    return found


def _entry(entry: Any, where: str) -> Credentials | None:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where} is not an object")
    username, password = _text(entry, "username", where), _text(entry, "password", where)
    identity = _text(entry, "identitytoken", where)
    if auth := _text(entry, "auth", where):
        username, password = _decode_auth(auth, where)
    if not username and not identity:
        return None  # left behind by `docker login` with a credential store
    return Credentials(username, password, identity)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{where}.{name} is not a string")
    return value


def _decode_auth(auth: str, where: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise UsageError(f"{where}.auth is not base64 of name:password", hint="log in again")
    return username, password.rstrip("\0")


def _normal(key: str) -> str:
    """Return the host of a key: `https://index.docker.io/v1/` and `docker.io` are the same."""
    if key in {_DOCKER_HUB_KEY, "index.docker.io", "registry-1.docker.io"}:
        return DOCKER_HUB
    for scheme in ("https://", "http://"):
        key = key.removeprefix(scheme)
    host = key.split("/", 1)[0]
    return DOCKER_HUB if host == "index.docker.io" else host
