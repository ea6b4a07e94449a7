"""Getting past a 401: basic credentials and bearer tokens, kept while they last.

Concurrency: everything runs on the event loop. `_known` is read and written without an await in
between; fetching for one (endpoint, scope) happens under that pair's lock, and whoever waited for
the lock first looks whether the one before it brought what it needs. Locks are few (one an
endpoint and repository) and are kept.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from yarl import URL

from bootseer.documents import parse_document
from bootseer.errors import CorruptError, RemoteError
from snapshotter.registry.challenge import (
    Challenge,
    TokenService,
    parse_challenges,
    token_service,
)
from snapshotter.registry.credentials import Credentials, CredentialSource
from snapshotter.registry.hosts import Endpoint

_DEFAULT_LIFE: Final = 60
"""Seconds a token lasts if the service does not say (distribution's specification)."""
_LONGEST_LIFE: Final = 24 * 3600
_MARGIN: Final = 5.0
_LONGEST_TOKEN: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is for."""

    repository: str
    actions: str = "pull"
    """`pull` or `pull,push`."""

    def __str__(self) -> str:
        return f"repository:{self.repository}:{self.actions}"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One question to a token service, to be sent as it is."""

    method: str
    url: URL
    authorization: str | None = field(repr=False)
    form: tuple[tuple[str, str], ...] = field(repr=False, default=())


class AskTokenService(Protocol):
    """Sends a `TokenRequest` and returns the body of a 200, at most `Limits.token` bytes."""

    def __call__(self, endpoint: Endpoint, request: TokenRequest) -> Awaitable[bytes]:
        """Raise `RemoteError` if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _Pass:
    header: str = field(repr=False)
    good_until: float


class Authenticator:
    """Knows the `Authorization` header for each endpoint and scope."""

    def __init__(
        self,
        source: CredentialSource,
        ask: AskTokenService,
        *,
        longest_answer: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ask` is how the network is reached; `clock` counts seconds."""
        self._source = source
        self._ask = ask
        self._longest = longest_answer
        self._clock = clock
        self._known: dict[tuple[str, Scope], _Pass] = {}
        self._locks: dict[tuple[str, Scope], asyncio.Lock] = {}

    def header(self, endpoint: Endpoint, scope: Scope) -> str | None:
        """Return the `Authorization` to send, if one is known that should still be good."""
        known = self._known.get((endpoint.base, scope))
        return known.header if known and known.good_until > self._clock() else None

    async def answer(
        self, endpoint: Endpoint, scope: Scope, challenges: Sequence[str], refused: str | None
    ) -> str:
        """Return the `Authorization` that answers a 401 with these `WWW-Authenticate` headers.

        `refused` is the one that was sent and not accepted.

        Raises:
            RemoteError: we have no answer, or the token service has none.
        """
        key = (endpoint.base, scope)
        async with self._locks.setdefault(key, asyncio.Lock()):
            header = self.header(endpoint, scope)
            if header is not None and header != refused:
                return header
            self._known.pop(key, None)
            known = await self._obtain(endpoint, scope, challenges)
            self._known[key] = known
            return known.header

    async def _obtain(self, endpoint: Endpoint, scope: Scope, challenges: Sequence[str]) -> _Pass:
        try:
            offered = {c.scheme: c for c in reversed(parse_challenges(challenges))}
            host = endpoint.credential_host
            credentials = await self._source.credentials(host, scope.repository)
            if bearer := offered.get("bearer"):
                return await self._bearer(endpoint, scope, bearer, credentials)
        except CorruptError as error:
            raise RemoteError(f"{endpoint.base}: {error.message}") from error
        if "basic" in offered and credentials:
            return _Pass(credentials.basic, float("inf"))
        wanted = "/".join(offered) or "no scheme"
        raise RemoteError(
            f"{endpoint.base} wants authentication ({wanted}) for {scope.repository}",
            hint=f"docker login {host}",
        )

    async def _bearer(
        self,
        endpoint: Endpoint,
        scope: Scope,
        challenge: Challenge,
        credentials: Credentials | None,
    ) -> _Pass:
        service = token_service(challenge, str(scope), plain_http=endpoint.plain_http)
        asked = self._clock()
        body = await self._ask(endpoint, token_request(service, credentials))
        token, life = parse_token(body, self._longest)
        return _Pass(f"Bearer {token}", asked + max(life - _MARGIN, life / 2))


def token_request(service: TokenService, credentials: Credentials | None) -> TokenRequest:
    """Return how to ask for a token: GET with basic credentials or none, or OAuth2's POST."""
    if credentials is None or not credentials.identity_token:
        authorization = credentials.basic if credentials else None
        return TokenRequest("GET", URL(service.url), authorization)
    scopes = " ".join(value for name, value in service.parameters if name == "scope")
    others = [(name, value) for name, value in service.parameters if name != "scope"]
    form = (
        ("grant_type", "refresh_token"),
        ("client_id", "bootseer"),
        ("refresh_token", credentials.identity_token),
        ("scope", scopes),
        *others,
    )
    return TokenRequest("POST", URL(service.realm), None, form)


def parse_token(body: bytes, most: int) -> tuple[str, float]:
    """Return the token in a token service's answer, and for how many seconds it lasts.

    Raises:
        CorruptError: there is none. The message does not quote the answer.
    """
    root = parse_document(body, "the token service's answer", most)
    node = root.optional("token") or root.optional("access_token")
    if node is None:
        raise root.wrong("no token in it")
    token = node.string(_LONGEST_TOKEN)
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise node.wrong("not a token")
    life = root.optional("expires_in")
    seconds = life.integer(0, 2**63) if life else 0
    return token, float(min(seconds or _DEFAULT_LIFE, _LONGEST_LIFE))
