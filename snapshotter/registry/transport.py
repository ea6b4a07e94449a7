"""One HTTP exchange with an endpoint: authentication, redirects, time-outs, limits.

Secrets stay at home: `Authorization` and the operator's own headers go to the endpoint's origin
(scheme, host, port) and to nobody it redirects to.

Concurrency: the state here is aiohttp's session (whose connector bounds connections per host),
the authenticator and the certificates (see there) and a memory of proxies, whose entries are never
wrong: two tasks that make the same one at once lose nothing but the time.
"""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from cachetools import LRUCache
from yarl import URL

from bootseer.errors import BootseerError, RemoteError
from snapshotter.registry.bodies import PIECE, Body, pieces
from snapshotter.registry.certificates import Certificates
from snapshotter.registry.faults import shown, status_error, translated
from snapshotter.registry.hosts import Endpoint
from snapshotter.registry.settings import ClientSettings
from snapshotter.registry.sockets import registry_socket
from snapshotter.registry.statistics import Statistics
from snapshotter.registry.tokens import Authenticator, Pass, Refusals, Scope, TokenRequest

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DENIED: Final = frozenset({401, 403})
_MOST_PASSES: Final = 16
"""Shown for one request; there are as many as there are credentials for a repository."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask an endpoint."""

    what: str
    """The object, for errors: `blob sha256:... of docker.io/library/alpine`."""
    kind: str
    """For `Statistics`; the bytes of a `blob` are verified by digest, whoever delivers them."""
    url: URL
    scope: Scope
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = field(default=None, repr=False)
    answers: frozenset[int] = frozenset({200})
    """Statuses that are answers; others are errors."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A small answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: URL


def endpoint_url(endpoint: Endpoint, path: str, query: Mapping[str, str] | None = None) -> URL:
    """Return the address of `path` at the endpoint; a mirror is told whom it stands for (`ns`)."""
    url = URL(f"{endpoint.base}/{path}", encoded=True)
    parameters = dict(query or {})
    if endpoint.mirror:
        parameters["ns"] = endpoint.registry
    return url.update_query(parameters) if parameters else url


class Transport:
    """Sends requests. An async context manager: connections live inside it."""

    def __init__(self, settings: ClientSettings, statistics: Statistics) -> None:
        self._settings = settings
        self._statistics = statistics
        self._certificates = Certificates()
        # Reading the environment takes longer than the rest of a request does.
        self._proxies: LRUCache[URL, str | None] = LRUCache(256)
        self._session: aiohttp.ClientSession | None = None
        self._authenticator = Authenticator(
            settings.credentials, self._ask_token_service, longest_answer=settings.limits.token
        )

    async def __aenter__(self) -> "Transport":
        limits = self._settings.limits
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(
                limit=0,
                limit_per_host=self._settings.connections,
                socket_factory=registry_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": self._settings.user_agent,
                "Accept-Encoding": "identity",
            },
            max_field_size=limits.header_field,
            max_line_size=limits.header_field,
            read_bufsize=PIECE,
            trust_env=False,  # it would also read ~/.netrc
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def small(self, endpoint: Endpoint, request: Request, most: int) -> Answer:
        """Return an answer of at most `most` bytes.

        Raises:
            NotFoundError, RemoteError: as the endpoint says.
        """
        size = len(request.body or b"")
        deadline = self._settings.timeouts.transfer(most + size)
        with translated(request.what, request.url):
            async with asyncio.timeout(deadline), self.open(endpoint, request) as response:
                body = b"" if request.method == "HEAD" else await self._all(response, request, most)
                return Answer(response.status, response.headers, body, response.url)

    @contextlib.asynccontextmanager
    async def open(
        self, endpoint: Endpoint, request: Request
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and follow redirects; inside the context the body can be read.

        Reading is the caller's: inside `translated`, and with a deadline.

        Raises:
            NotFoundError, RemoteError: as the endpoint says.
        """
        url = request.url
        for _ in range(self._settings.limits.redirects + 1):
            response = await self._authorized(endpoint, request, url)
            try:
                if response.status in _REDIRECTS and request.method in {"GET", "HEAD"}:
                    url = _target(request, response)
                    continue
                await self._check(request, response)
                yield response
                return
            finally:
                response.release()
        raise RemoteError(f"{request.what}: {shown(request.url)} redirects in circles")

    def count_received(self, request: Request, size: int) -> None:
        """Note that bytes of a body were received."""
        self._statistics.received[request.kind] += size

    async def _authorized(
        self, endpoint: Endpoint, request: Request, url: URL
    ) -> aiohttp.ClientResponse:
        if not _same_origin(url, URL(endpoint.base)):
            return await self._send(endpoint, request, url, {})
        refusals = Refusals()
        known = self._authenticator.known(endpoint, request.scope)
        refusal: BootseerError = RemoteError(f"{request.what}: {shown(url)} lets nobody in")
        for _ in range(_MOST_PASSES):
            pass_header = {"Authorization": known.header} if known else {}
            own = {**dict(endpoint.headers), **pass_header}
            response = await self._send(endpoint, request, url, own)
            if response.status not in _DENIED:
                if known:
                    known.worked = True
                return response
            if response.status == 403 and not (known and known.worked):
                return response
            # Read, the connection can be used again; held, it might lack to the token service.
            refusal = await self._refusal(request, response)
            if known:
                refusals.add(known)
                self._authenticator.forget(endpoint, request.scope, known)
            if response.status == 403:
                # Some say so of a pass that has expired; what they want instead they say to nobody.
                known = None
                continue
            challenges = response.headers.getall("WWW-Authenticate", [])
            known = await self._answer(endpoint, request.scope, challenges, refusals)
            if known is None:
                break
        raise refusal

    async def _refusal(self, request: Request, response: aiohttp.ClientResponse) -> BootseerError:
        try:
            body = await self._beginning(request, response)
        finally:
            response.release()
        return status_error(request.what, response.url, response.status, response.headers, body)

    async def _answer(
        self, endpoint: Endpoint, scope: Scope, challenges: Sequence[str], refusals: Refusals
    ) -> Pass | None:
        with translated(f"token for {endpoint.registry}", URL(endpoint.base)):
            async with asyncio.timeout(self._settings.timeouts.request):
                return await self._authenticator.answer(endpoint, scope, challenges, refusals)

    async def _send(
        self, endpoint: Endpoint, request: Request, url: URL, own: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        size = len(request.body or b"")
        timeouts = self._settings.timeouts
        options: dict[str, Any] = {"headers": {**own, **request.headers}}
        self._statistics.requests[request.kind] += 1
        self._statistics.sent[request.kind] += size
        with translated(request.what, url):
            async with asyncio.timeout(timeouts.transfer(min(size, PIECE))) as deadline:
                if request.body is not None:
                    options["headers"]["Content-Length"] = str(size)
                    options["data"] = self._watched(request.body, deadline)
                    # A registry may be busy with a large upload before it answers.
                    options["stall"] = timeouts.transfer(size)
                return await self._bare(endpoint, request.method, url, **options)

    async def _watched(self, body: Body, deadline: asyncio.Timeout) -> AsyncIterator[bytes]:
        """Yield a body; a connection that takes a piece has earned the time for the next one."""

        def wait(size: int) -> None:
            until = asyncio.get_running_loop().time() + self._settings.timeouts.transfer(size)
            # The answer may come before all was sent: then nobody waits here any more.
            with contextlib.suppress(RuntimeError):
                deadline.reschedule(until)

        async with contextlib.aclosing(pieces(body)) as parts:
            async for piece in parts:
                wait(PIECE)
                yield piece
        wait(len(body))

    async def _bare(
        self,
        endpoint: Endpoint,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        data: object = None,
        stall: float | None = None,
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the registry client is used outside of its context")
        timeouts = self._settings.timeouts
        connect = timeouts.connect
        if endpoint.dial_timeout is not None and _same_origin(url, URL(endpoint.base)):
            connect = endpoint.dial_timeout
        return await self._session.request(
            method,
            url,
            allow_redirects=False,
            proxy=self._proxy(url),
            ssl=await self._certificates.context(endpoint.tls) if url.scheme == "https" else True,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect, sock_read=stall or timeouts.stall
            ),
            headers=headers,
            data=data,
        )

    async def _check(self, request: Request, response: aiohttp.ClientResponse) -> None:
        if response.status not in request.answers:
            body = await self._beginning(request, response)
            raise status_error(request.what, response.url, response.status, response.headers, body)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise RemoteError(
                f"{request.what}: {shown(response.url)} sent Content-Encoding "
                f"{encoding[:40]!a}, which nobody asked for"
            )

    async def _beginning(self, request: Request, response: aiohttp.ClientResponse) -> bytes:
        """Return the start of an error's body; whatever happens then, the status is the news."""
        most = self._settings.limits.error_body
        body = bytearray()
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(self._settings.timeouts.stall):
                while len(body) < most and (piece := await response.content.read(most)):
                    body += piece
        self.count_received(request, len(body))
        return bytes(body[:most])

    async def _all(self, response: aiohttp.ClientResponse, request: Request, most: int) -> bytes:
        body = bytearray()
        while piece := await response.content.read(PIECE):
            self.count_received(request, len(piece))
            body += piece
            if len(body) > most:
                raise RemoteError(
                    f"{request.what}: {shown(response.url)} sent more than {most} bytes"
                )
        return bytes(body)

    async def _ask_token_service(self, endpoint: Endpoint, request: TokenRequest) -> bytes:
        """Ask for a token; redirects are not followed, for our password is in the request."""
        what = f"token for {endpoint.registry}"
        headers = {"Authorization": request.authorization} if request.authorization else {}
        form = aiohttp.FormData(request.form) if request.form else None
        self._statistics.requests["token"] += 1
        question = Request(what, "token", request.url, Scope(""))
        limits = self._settings.limits
        with translated(what, request.url):
            async with asyncio.timeout(self._settings.timeouts.request):
                response = await self._bare(
                    endpoint, request.method, request.url, headers=headers, data=form
                )
                try:
                    await self._check(question, response)
                    return await self._all(response, question, limits.token)
                finally:
                    response.release()

    def _proxy(self, url: URL) -> str | None:
        if not self._settings.environment_proxy:
            return None
        origin = url.origin()
        if origin not in self._proxies:
            bypass = urllib.request.proxy_bypass(url.authority)
            proxy = None if bypass else urllib.request.getproxies().get(url.scheme)
            self._proxies[origin] = proxy
        return self._proxies[origin]


def _same_origin(one: URL, other: URL) -> bool:
    return one.origin() == other.origin()


def _target(request: Request, response: aiohttp.ClientResponse) -> URL:
    """Return where a redirect leads. The address is kept byte for byte: it may be signed."""
    location = response.headers.get("Location", "")
    try:
        url = response.url.join(URL(location, encoded=True))
        usable = bool(location) and url.scheme in {"http", "https"} and bool(url.host)
    except ValueError:
        usable = False
    if not usable:
        raise RemoteError(f"{request.what}: {shown(response.url)} redirects to no HTTP address")
    if (response.url.scheme, url.scheme) == ("https", "http") and request.kind != "blob":
        raise RemoteError(
            f"{request.what}: {shown(response.url)} redirects to plain HTTP, where it could be "
            "changed unnoticed"
        )
    return url
