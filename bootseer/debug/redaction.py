"""Secrets out of texts of any kind: by what stands before them, and those that are known. Pure.

Two nets, one behind the other. What a docker `config.json` or a `hosts.toml` holds is looked for
wherever it may have got to; and what has the form of a secret is removed, known or not.
"""

import base64
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from bootseer.logs import redact

_REMOVED: Final = "***"
_SHORTEST: Final = 4
"""Characters of a known secret that is looked for: shorter ones are in every text."""
_SHORTEST_VARIABLE: Final = 8
"""Likewise of a variable's value: some are called like secrets and are numbers or names."""
_NAMED: Final = re.compile(
    r"""(?ix)
    ( (?: password|passwd|secret|token|credential|api[_-]?key|private[_-]?key|cookie )
      [\w.-]* ["']? \s* [:=] \s* )
    ( "(?:[^"\\]|\\.)*" | '[^']*' | [^\s,;&"'}\]]+ )
    """
)
_HEADER: Final = re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?|bearer\s+|basic\s+)\S.*")
_PEM: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_JWT: Final = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*")


def cleaned(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without what is, or looks like, a secret. Metrics and labels stay."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _REMOVED)
    text = _PEM.sub(_REMOVED, text)
    text = _JWT.sub(_REMOVED, text)
    text = _HEADER.sub(lambda found: found[1] + _REMOVED, text)
    text = _NAMED.sub(_without_value, text)
    return str(redact(text))


def _without_value(found: re.Match[str]) -> str:
    quote = found[2][0] if found[2][0] in "\"'" else ""
    return f"{found[1]}{quote}{_REMOVED}{quote}"


def secrets_of_docker(data: bytes) -> Iterator[str]:
    """Yield what a docker `config.json` keeps secret; nothing where it is none."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    auths = document.get("auths") if isinstance(document, dict) else None
    for entry in auths.values() if isinstance(auths, dict) else ():
        for name, value in entry.items() if isinstance(entry, dict) else ():
            if isinstance(value, str) and name != "username":
                yield from _forms(value)
                if name == "auth":
                    yield from _forms(_password(value))
    if isinstance(document, dict):
        yield from _texts(document.get("HttpHeaders"))


def secrets_of_hosts(text: str) -> Iterator[str]:
    """Yield the headers that a `hosts.toml` sends; nothing where it is none."""
    try:
        hosts = tomllib.loads(text).get("host", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    for host in hosts.values() if isinstance(hosts, dict) else ():
        if isinstance(host, dict):
            yield from _texts(host.get("header"))


def secrets_of_environment(environment: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the values of variables that are called like secrets."""
    for name, value in environment:
        if redact("", name) == _REMOVED and len(value) >= _SHORTEST_VARIABLE:
            yield from _forms(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _forms(value)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as it stands in JSON and in base64."""
    if len(secret) < _SHORTEST:
        return
    yield secret
    yield json.dumps(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode()


def _password(auth: str) -> str:
    try:
        return base64.b64decode(auth, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
