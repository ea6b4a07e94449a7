"""Docker's `config.json`: passwords in the file, and the helpers that it names.

For a registry its `credHelpers` entry is asked, else the `credsStore`; then the entries of `auths`
count that mean the repository, the one with the longest path first (paths and `*` are what kubelets
and podman allow there). A helper that fails is logged and passed over: without it an image may
still be one that everybody may read.
"""

import base64
import binascii
import json
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bootseer.documents import parse_document
from bootseer.errors import BootseerError, CorruptError, UsageError
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.credentials import Credentials
from snapshotter.registry.logins.matching import best_first, split_entry
from snapshotter.registry.logins.program import ProgramError, ask_program
from snapshotter.registry.reference import DOCKER_HUB

log = logging.getLogger(__name__)

_DOCKER_HUB_KEY: Final = "https://index.docker.io/v1/"
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z", re.ASCII)
_TOKEN_USER: Final = "<token>"  # noqa: S105 (the name by which helpers say that it is a token)
_NOT_FOUND: Final = 1
"""What helpers exit with for a registry that they do not know."""


@dataclass(frozen=True, slots=True)
class DockerFile:
    """What a docker `config.json` says of registries."""

    auths: Mapping[str, Credentials] = field(default_factory=dict)
    """By key as it is written."""
    helpers: Mapping[str, str] = field(default_factory=dict)
    """Helper by registry: `ecr-login` stands for the program `docker-credential-ecr-login`."""
    store: str = ""
    """Helper for all others; empty: none."""

    def helper(self, host: str) -> str:
        """Return the helper that knows a registry; empty if there is none."""
        named = {split_entry(key)[0]: helper for key, helper in self.helpers.items()}
        return named.get(split_entry(host)[0], self.store)


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The credentials that `docker login` keeps.

    The file is read anew each time: it is small, and rotated by others.
    """

    path: Path
    limits: Limits = DEFAULT

    async def offers(self, host: str, repository: str) -> AsyncGenerator[Credentials]:
        """Yield what the file's helper and the file itself know; nothing if it is not there.

        Raises:
            UsageError: the file cannot be understood.
        """
        known = self._read()
        if helper := known.helper(host):
            found = await _ask(helper, host, self.limits.token)
            if found:
                yield found
        for key in best_first(known.auths, host, repository):
            yield known.auths[key]

    def _read(self) -> DockerFile:
        try:
            with self.path.open("rb") as file:
                data = file.read(self.limits.local_config + 1)
        except (FileNotFoundError, NotADirectoryError):
            return DockerFile()
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror}") from error
        if len(data) > self.limits.local_config:
            raise UsageError(f"{self.path} is too large for a docker configuration")
        return parse_docker_config(data, str(self.path))


async def _ask(helper: str, host: str, most: int) -> Credentials | None:
    """Return what a helper knows of a registry, or None."""
    program = f"docker-credential-{helper}"
    address = _DOCKER_HUB_KEY if split_entry(host)[0] == DOCKER_HUB else host
    try:
        answer = await ask_program((program, "get"), address.encode(), most=most)
        return parse_helper_answer(answer, program, most)
    except BootseerError as error:
        unknown = isinstance(error, ProgramError) and error.status == _NOT_FOUND
        fields = {"helper": program, "registry": host, "reason": error.message}
        level = logging.DEBUG if unknown else logging.WARNING
        log.log(level, "registry.helper_failed", extra={"fields": fields})
        return None


def parse_helper_answer(answer: bytes, program: str, most: int) -> Credentials | None:
    """Return the credentials in a helper's answer; None if they are empty.

    Raises:
        CorruptError: it is none. The message does not quote it.
    """
    root = parse_document(answer, f"the answer of {program}", most)
    user, secret = root.optional("Username"), root.optional("Secret")
    username, password = user.string() if user else "", secret.string() if secret else ""
    if username == _TOKEN_USER:
        return Credentials("", "", identity_token=password) if password else None
    return Credentials(username, password) if username else None


def parse_docker_config(data: bytes, name: str) -> DockerFile:
    """Return what a docker `config.json` says. `name` is for the errors.

    Raises:
        UsageError: it is malformed. The message never quotes the file's contents.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{name} is not JSON") from None
    auths = _table(document, "auths", name)
    found = {}
    for key, entry in auths.items():
        credentials = _entry(entry, f"{name}: auths[{key!a}]")
        if credentials is not None:
            found[key] = credentials
    helpers = _table(document, "credHelpers", name)
    return DockerFile(
        found,
        {key: _helper(value, f"{name}: credHelpers[{key!a}]") for key, value in helpers.items()},
        _helper(document.get("credsStore", ""), f"{name}: credsStore"),
    )


def _table(document: Any, key: str, name: str) -> Mapping[str, Any]:
    table = document.get(key) or {} if isinstance(document, dict) else None
    if not isinstance(table, dict):
        raise UsageError(f"{name}: '{key}' is not an object")
    return table


def _helper(value: Any, where: str) -> str:
    """Return the name of a helper: it becomes the name of a program, and leads nowhere else."""
    if value == "" or (isinstance(value, str) and _HELPER.match(value)):
        return str(value)
    raise UsageError(f"{where} is not the name of a credential helper")


def _entry(entry: Any, where: str) -> Credentials | None:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where} is not an object")
    return credentials_in(
        username=_text(entry, "username", where),
        password=_text(entry, "password", where),
        auth=_text(entry, "auth", where),
        identity_token=_text(entry, "identitytoken", where),
        registry_token=_text(entry, "registrytoken", where),
        where=where,
    )


def credentials_in(
    *,
    username: str,
    password: str,
    auth: str,
    identity_token: str,
    registry_token: str,
    where: str,
) -> Credentials | None:
    """Return the credentials in docker's fields; None if they say nothing, as `docker login` leaves
    them behind with a credential store.

    Raises:
        UsageError: `auth` is not base64 of name and password. The message never quotes it.
    """
    if auth:
        try:
            username, password = decode_auth(auth)
        except CorruptError:
            message = f"{where}.auth is not base64 of name:password"
            raise UsageError(message, hint="log in again") from None
    if not (username or identity_token or registry_token):
        return None
    return Credentials(username, password, identity_token, registry_token)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{where}.{name} is not a string")
    return value


def decode_auth(auth: str) -> tuple[str, str]:
    """Return name and password in the base64 of `name:password`.

    Raises:
        CorruptError: it is something else. The message does not quote it.
    """
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise CorruptError("not base64 of name:password")
    return username, password.rstrip("\0")
