"""Getting past a 401: basic credentials and bearer tokens, kept while they last.

Credentials expire, too, and several sources may know some: those that are refused make way for the
next. What was let in once and is refused later is had anew, so that a container which reads again
after days is let in whatever became of the token that its pull had.

Concurrency: everything runs on the event loop. `_known` is read and written without an await in
between; fetching for one (endpoint, scope) happens under that pair's lock, and whoever waited for
the lock first looks whether the one before it brought what it needs. Locks are few (one an
endpoint and repository) and are kept.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from yarl import URL

from bootseer.documents import parse_document
from bootseer.errors import CorruptError, RemoteError
from snapshotter.registry.challenge import TokenService, parse_challenges, token_service
from snapshotter.registry.credentials import Credentials, CredentialSource
from snapshotter.registry.hosts import Endpoint
from snapshotter.registry.retry import HttpError

log = logging.getLogger(__name__)

_DEFAULT_LIFE: Final = 60
"""Seconds a token lasts if the service does not say (distribution's specification)."""
_LONGEST_LIFE: Final = 24 * 3600
_MARGIN: Final = 5.0
_LONGEST_TOKEN: Final = 64 << 10
_REFUSED: Final = frozenset({400, 401, 403})
"""What token services answer to credentials that are not, or no longer, good."""


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


@dataclass(slots=True)
class Pass:
    """An `Authorization` header, and what is known of it."""

    header: str = field(repr=False)
    good_until: float
    """Seconds of the authenticator's clock."""
    credentials: Credentials | None = field(repr=False)
    """What it was had for; None: for nothing."""
    worked: bool = False
    """Somebody let us in for it."""


@dataclass(slots=True)
class Refusals:
    """What was not accepted in the course of one request."""

    headers: set[str] = field(default_factory=set, repr=False)
    spent: set[Credentials | None] = field(default_factory=set, repr=False)
    """Credentials for which there was a new header, and that was refused as well."""
    fresh: Pass | None = None
    """What was obtained last for this request."""

    def add(self, refused: Pass) -> None:
        """Note a header that was not accepted."""
        self.headers.add(refused.header)
        if refused is self.fresh:
            self.spent.add(refused.credentials)


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
        self._known: dict[tuple[str, Scope], Pass] = {}
        self._locks: dict[tuple[str, Scope], asyncio.Lock] = {}

    def known(self, endpoint: Endpoint, scope: Scope) -> Pass | None:
        """Return the pass to show, if there is one that should still be good."""
        known = self._known.get((endpoint.base, scope))
        return known if known and known.good_until > self._clock() else None

    def forget(self, endpoint: Endpoint, scope: Scope, known: Pass) -> None:
        """Show a pass no more, unless another has taken its place."""
        if self._known.get((endpoint.base, scope)) is known:
            del self._known[endpoint.base, scope]

    async def answer(
        self, endpoint: Endpoint, scope: Scope, challenges: Sequence[str], refusals: Refusals
    ) -> Pass | None:
        """Return the pass that answers a 401 with these `WWW-Authenticate` headers; None if all
        that we have was refused.

        Raises:
            RemoteError: we have no answer, or the token service has none.
        """
        key = (endpoint.base, scope)
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self.known(endpoint, scope)
            if known is not None and known.header not in refusals.headers:
                return known
            self._known.pop(key, None)
            found = await self._obtain(endpoint, scope, challenges, refusals)
            if found is not None:
                self._known[key] = refusals.fresh = found
            return found

    async def _obtain(
        self, endpoint: Endpoint, scope: Scope, challenges: Sequence[str], refusals: Refusals
    ) -> Pass | None:
        try:
            offered = {c.scheme: c for c in reversed(parse_challenges(challenges))}
            bearer = offered.get("bearer")
            service = None
            if bearer:
                service = token_service(bearer, str(scope), plain_http=endpoint.plain_http)
            tries = self._tries(endpoint, scope, refusals, anonymous=service is not None)
            async with contextlib.aclosing(tries):
                basic = "basic" in offered and service is None
                return await self._first(endpoint, scope, service, tries, refusals, basic=basic)
        except CorruptError as error:
            raise RemoteError(f"{endpoint.base}: {error.message}") from error
        except _NobodyError:
            if refusals.headers:
                return None
            wanted = "/".join(offered) or "no scheme"
            raise RemoteError(
                f"{endpoint.base} wants authentication ({wanted}) for {scope.repository}",
                hint=f"docker login {endpoint.credential_host}",
            ) from None

    async def _tries(
        self, endpoint: Endpoint, scope: Scope, refusals: Refusals, *, anonymous: bool
    ) -> AsyncGenerator[Credentials | None]:
        """Yield what to try: all credentials that were not refused, then none at all."""
        host = endpoint.credential_host
        async with contextlib.aclosing(self._source.offers(host, scope.repository)) as offers:
            async for credentials in offers:
                if credentials not in refusals.spent:
                    yield credentials
        if anonymous and None not in refusals.spent:
            yield None

    async def _first(
        self,
        endpoint: Endpoint,
        scope: Scope,
        service: TokenService | None,
        tries: AsyncIterator[Credentials | None],
        refusals: Refusals,
        *,
        basic: bool,
    ) -> Pass | None:
        """Return a pass for the first credentials that bring one.

        Raises:
            _NobodyError: there were none.
            RemoteError: the token service refuses them all, or fails.
        """
        refused: HttpError | None = None
        async for credentials in tries:
            direct = _direct(credentials, basic=basic)
            if direct and direct not in refusals.headers:
                return Pass(direct, float("inf"), credentials)
            if direct or service is None:
                continue
            try:
                return await self._bearer(endpoint, service, credentials)
            except HttpError as error:
                if error.status not in _REFUSED:
                    raise
                refused = refused or error
                if credentials is not None:
                    _say_refused(endpoint, scope, error)
        raise refused or _NobodyError

    async def _bearer(
        self, endpoint: Endpoint, service: TokenService, credentials: Credentials | None
    ) -> Pass:
        asked = self._clock()
        body = await self._ask(endpoint, token_request(service, credentials))
        token, life = parse_token(body, self._longest)
        return Pass(f"Bearer {token}", asked + max(life - _MARGIN, life / 2), credentials)


class _NobodyError(Exception):
    """There is nothing to try."""


def _direct(credentials: Credentials | None, *, basic: bool) -> str | None:
    """Return the header that credentials are by themselves, without a token service."""
    if credentials is None:
        return None
    if credentials.registry_token:
        return f"Bearer {credentials.registry_token}"
    return credentials.basic if basic and credentials.username else None


def _say_refused(endpoint: Endpoint, scope: Scope, error: HttpError) -> None:
    fields = {
        "endpoint": endpoint.base,
        "repository": scope.repository,
        "status": error.status,
        "do": "renew the credentials; others are tried meanwhile",
    }
    log.warning("registry.credentials_refused", extra={"fields": fields})


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
