"""Image references as docker and containerd write them: `[host[:port]/]path[:tag][@digest]`.

Grammar: distribution's "reference" (the regular expressions are of its rules); short names are
completed as docker does: `alpine` is `docker.io/library/alpine:latest`. Pure.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from bootseer.digests import check_digest, is_digest
from bootseer.errors import CorruptError, UsageError

DOCKER_HUB: Final = "docker.io"

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST: Final = re.compile(
    rf"(?P<name>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{{1,5}}))?\Z", re.ASCII
)
_WORD = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH: Final = re.compile(rf"{_WORD}(?:/{_WORD})*\Z", re.ASCII)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z", re.ASCII)
_IMAGE_ID: Final = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
_LONGEST_NAME: Final = 255
_LONGEST_REFERENCE: Final = 1024
_HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Reference:
    """A complete reference. Every field has been checked against the grammar."""

    host: str
    """Registry as users write it: `docker.io`, `localhost:5000`, `[::1]:5000`."""
    path: str
    """Repository inside the registry: `library/alpine`."""
    tag: str | None = None
    digest: str | None = None
    """`sha256:...`; with a tag as well, the digest decides."""

    @property
    def name(self) -> str:
        """The repository with its host."""
        return f"{self.host}/{self.path}"

    @property
    def target(self) -> str:
        """What to ask the registry for: the digest, or else the tag, or else `latest`."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> "Reference":
        """Return the same repository and tag, pinned to `digest`.

        Raises:
            CorruptError: the digest is malformed.
        """
        return replace(self, digest=check_digest(digest))

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """Return the reference that `text` means, completed as docker does.

    A reference with neither tag nor digest gets the tag `latest`.

    Raises:
        UsageError: it is not a reference.
    """
    if len(text) > _LONGEST_REFERENCE:
        raise UsageError(f"image reference of {len(text)} characters is too long")
    name, digest = _split_digest(text)
    name, tag = _split_tag(name, text)
    if _IMAGE_ID.match(name):
        raise UsageError(f"{_shown(text)} is an image ID, not a reference", hint="give a name")
    host, path = _split_host(name)
    _check_host(host, text)
    if not _PATH.match(path) or len(path) > _LONGEST_NAME:
        raise UsageError(
            f"{_shown(text)}: {_shown(path)} is not a repository name",
            hint="lower-case words joined by '.', '_', '-' and '/', at most 255 characters",
        )
    if tag is None and digest is None:
        tag = "latest"
    return Reference(host, path, tag, digest)


def is_loopback(host: str) -> bool:
    """Say whether a registry's host is this machine: such registries are asked in plain HTTP."""
    match = _HOST.match(host)
    name = match["name"].lower() if match else ""
    return name in {"localhost", "[::1]"} or re.match(r"127(\.\d{1,3}){3}\Z", name) is not None


def is_host(text: str) -> bool:
    """Say whether `text` is `host[:port]`."""
    match = _HOST.match(text)
    return match is not None and int(match["port"] or 0) <= _HIGHEST_PORT


def _shown(text: str) -> str:
    return ascii(text[:200])


def _split_digest(text: str) -> tuple[str, str | None]:
    name, at, digest = text.partition("@")
    if not at:
        return text, None
    if not is_digest(digest):
        try:
            check_digest(digest)
        except CorruptError as error:
            raise UsageError(f"{_shown(text)}: {error.message}") from None
    return name, digest


def _split_tag(name: str, text: str) -> tuple[str, str | None]:
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, None
    if not _TAG.match(tag):
        raise UsageError(f"{_shown(text)}: {_shown(tag)} is not a tag")
    return head, tag


def _split_host(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    named = any(c in first for c in ".:[") or first == "localhost" or first != first.lower()
    if not slash or not named:
        first, rest = DOCKER_HUB, name
    if first == "index.docker.io":
        first = DOCKER_HUB
    if first == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _check_host(host: str, text: str) -> None:
    if not is_host(host):
        raise UsageError(f"{_shown(text)}: {_shown(host)} is not a registry's host[:port]")
