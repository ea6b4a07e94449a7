"""`WWW-Authenticate` challenges (RFC 9110, section 11.6.1) and what they ask for. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from bootseer.errors import CorruptError

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME: Final = re.compile(rf"\s*({_NAME})(?=[\s,]|\Z)\s*", re.ASCII)
_PARAM: Final = re.compile(
    rf'\s*({_NAME})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_NAME}))\s*(?:,|\Z)', re.ASCII
)
_TOKEN68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?:,|\Z)", re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)")
_LONGEST: Final = 8192


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in which a server would let us in."""

    scheme: str
    """In lower case: `bearer`, `basic`."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return the challenges of all `WWW-Authenticate` headers, in order.

    Raises:
        CorruptError: a header does not follow the grammar, or is longer than 8 KiB.
    """
    found: list[Challenge] = []
    for header in headers:
        if len(header) > _LONGEST:
            raise CorruptError(f"WWW-Authenticate of {len(header)} characters is too long")
        found.extend(_parse(header))
    return tuple(found)


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while position < len(header):
        if header[position] in ", \t":
            position += 1
            continue
        scheme = _SCHEME.match(header, position)
        if scheme is None:
            raise CorruptError(f"WWW-Authenticate is malformed at character {position}")
        challenge = Challenge(scheme[1].lower())
        found.append(challenge)
        position = _parameters(header, scheme.end(), challenge)
    return found


def _parameters(header: str, position: int, challenge: Challenge) -> int:
    while parameter := _PARAM.match(header, position):
        name, quoted, plain = parameter.groups()
        value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        if challenge.parameters.setdefault(name.lower(), value) != value:
            raise CorruptError(f"WWW-Authenticate gives {name.lower()} twice")
        position = parameter.end()
    if not challenge.parameters and (blob := _TOKEN68.match(header, position)):
        return blob.end()
    return position


@dataclass(frozen=True, slots=True)
class TokenService:
    """Where a bearer token is had (distribution's token authentication specification)."""

    realm: str
    """Address without query."""
    parameters: tuple[tuple[str, str], ...]
    """Query or form fields: service and scope."""

    @property
    def url(self) -> str:
        """The address to GET."""
        return f"{self.realm}?{urlencode(self.parameters)}" if self.parameters else self.realm


def token_service(challenge: Challenge, scope: str, *, plain_http: bool) -> TokenService:
    """Return where a bearer challenge sends us.

    The challenge's own scope is preferred to `scope`: a mirror may name repositories otherwise.
    `plain_http` says whether the registry itself is spoken to in the clear: only then may the
    token service be, for a password goes there.

    Raises:
        CorruptError: there is no usable realm.
    """
    realm = challenge.parameters.get("realm", "")
    try:
        parts = urlsplit(realm)
        port_is_sane = parts.port is None or parts.port > 0
    except ValueError as error:
        raise CorruptError("the realm of the bearer challenge is not an address") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname or not port_is_sane:
        raise CorruptError("the realm of the bearer challenge is not an HTTP address")
    if parts.scheme == "http" and not plain_http:
        raise CorruptError("the realm of the bearer challenge would send credentials in the clear")
    if parts.username is not None:
        raise CorruptError("the realm of the bearer challenge contains a user name")
    fields = parse_qsl(parts.query)
    if service := challenge.parameters.get("service"):
        fields.append(("service", service))
    wanted = challenge.parameters.get("scope") or scope
    fields.extend(("scope", item) for item in wanted.split())
    base = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return TokenService(base, tuple(fields))
