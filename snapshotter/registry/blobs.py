"""Blobs: ranges, whole streams that survive broken connections, small ones verified.

Concurrency: event loop only. `_locations` is a memory of redirects: an entry is used, replaced or
dropped without an await in between, and a wrong one costs a request. `_streams` is a semaphore
held for as long as a stream is read, so that streams leave connections for short reads.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import aiohttp
from cachetools import TTLCache

from bootseer.digests import check_digest, verify
from bootseer.errors import CorruptError, NotFoundError, RemoteError
from snapshotter.ports import Early
from snapshotter.registry.calls import FAILURES, Calls
from snapshotter.registry.faults import translated
from snapshotter.registry.hosts import PULL, Endpoint
from snapshotter.registry.ranges import Body, plan_body, range_header
from snapshotter.registry.reference import Reference
from snapshotter.registry.settings import ClientSettings
from snapshotter.registry.standing import Topic
from snapshotter.registry.statistics import Statistics
from snapshotter.registry.tokens import Scope
from snapshotter.registry.transport import Answer, Request, Transport, endpoint_url

if TYPE_CHECKING:
    from yarl import URL

log = logging.getLogger(__name__)

_PIECE: Final = 1 << 20
_PROGRESS: Final = 1 << 20
"""Bytes after which a stream's earlier failures are forgiven."""


@dataclass(frozen=True, slots=True)
class _Range:
    """What is wanted of a blob."""

    reference: Reference
    digest: str
    offset: int
    length: int | None

    @property
    def what(self) -> str:
        return f"blob {self.digest} of {self.reference.name}"

    @property
    def topic(self) -> Topic:
        return self.reference.path, self.digest

    def behind(self, count: int) -> "_Range":
        """Return what is left when the first `count` bytes have come."""
        left = None if self.length is None else self.length - count
        return replace(self, offset=self.offset + count, length=left)

    @property
    def headers(self) -> dict[str, str]:
        whole = self.offset == 0 and self.length is None
        return {} if whole else {"Range": range_header(self.offset, self.length)}


class Blobs:
    """The `blobs` part of a `RegistryClient`."""

    def __init__(
        self, transport: Transport, calls: Calls, settings: ClientSettings, statistics: Statistics
    ) -> None:
        self._transport = transport
        self._calls = calls
        self._timeouts = settings.timeouts
        self._limits = settings.limits
        self._statistics = statistics
        self._streams = asyncio.Semaphore(settings.streams)
        self._locations: TTLCache[tuple[str, str, str], URL] = TTLCache(
            4096, settings.redirect_memory
        )
        self._without_ranges: set[str] = set()

    async def read(
        self,
        reference: Reference,
        digest: str,
        offset: int,
        length: int,
        early: Early | None = None,
    ) -> bytes:
        """Return exactly `length` bytes of a blob from `offset`. They are not verified.

        Raises:
            NotFoundError: the registry does not have the blob.
            RemoteError: these bytes cannot be had now.
        """
        wanted = _Range(reference, check_digest(digest), offset, length)
        if length == 0:
            return b""

        async def operation(endpoint: Endpoint) -> bytes:
            request = self._request(endpoint, wanted)
            with translated(wanted.what, request.url):
                async with asyncio.timeout(self._timeouts.transfer(length)):
                    return await self._read_once(endpoint, request, wanted, early)

        return await self._calls.run(reference, PULL, operation, wanted.topic)

    async def doubt(self, reference: Reference, digest: str) -> None:
        """Note that bytes of a blob turned out wrong: the registry itself is asked first for a
        while, its mirrors only where it fails.
        """
        await self._calls.doubt(reference, (reference.path, check_digest(digest)))

    async def get(self, reference: Reference, digest: str, most: int) -> bytes:
        """Return a whole blob of at most `most` bytes, verified.

        Raises:
            NotFoundError, RemoteError: as `read`.
            CorruptError: the bytes are not those of the digest.
        """
        wanted = _Range(reference, check_digest(digest), 0, None)

        async def operation(endpoint: Endpoint) -> bytes:
            request = self._request(endpoint, wanted)
            answer = await self._transport.small(endpoint, request, most)
            await asyncio.to_thread(verify, answer.body, digest, wanted.what)
            return answer.body

        return await self._calls.run(reference, PULL, operation, wanted.topic)

    async def size(self, reference: Reference, digest: str) -> int | None:
        """Return the size of a blob; None if the registry does not have it.

        Raises:
            RemoteError: it does not say.
        """
        wanted = _Range(reference, check_digest(digest), 0, None)

        async def operation(endpoint: Endpoint) -> Answer:
            request = replace(self._request(endpoint, wanted), method="HEAD")
            return await self._transport.small(endpoint, request, 0)

        try:
            answer = await self._calls.run(reference, PULL, operation, wanted.topic)
        except NotFoundError:
            return None
        size = plan_body(200, None, answer.headers.get("Content-Length"), 0, None).total
        if size is None:
            raise RemoteError(f"{wanted.what}: the registry does not say how long it is")
        return size

    async def stream(
        self, reference: Reference, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes of a blob from `offset`, or all to its end, in pieces of at most
        1 MiB. Not verified.

        A broken connection is taken up where it broke, at the next endpoint if need be.

        Raises:
            NotFoundError, RemoteError: as `read`.
            CorruptError: the blob has no end within `Limits.layer`.
        """
        wanted = _Range(reference, check_digest(digest), offset, length)
        attempts = await self._calls.attempts(reference, PULL, wanted.topic)
        total: int | None = None
        settled = offset
        # Somebody waits for a part that he asked for: it is not to wait for whole blobs.
        async with self._streams if length is None else contextlib.nullcontext():
            while _left(wanted, total) != 0:
                try:
                    self._calls.admit(attempts.current)
                    async with self._opened(attempts.current, wanted) as (response, body, request):
                        self._calls.answered(attempts.current)
                        total = _agreed(total, body.total, wanted)
                        async for piece in self._pieces(response, request, body.skip, body.length):
                            wanted = wanted.behind(len(piece))
                            if wanted.offset - settled >= _PROGRESS:
                                attempts.progressed()
                                settled = wanted.offset
                            yield piece
                    total = _end(wanted, body)
                except FAILURES as error:
                    await self._calls.after(attempts, error, wanted.topic)
                    settled = wanted.offset
                    self._statistics.resumed += wanted.offset > offset

    @contextlib.asynccontextmanager
    async def _opened(
        self, endpoint: Endpoint, wanted: _Range
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, Body, Request]]:
        request = self._request(endpoint, wanted)
        async with self._located(endpoint, request, wanted) as response:
            body = self._plan(endpoint, response, wanted)
            if wanted.length is None and (body.total or 0) > self._limits.layer:
                raise CorruptError(f"{request.what} is longer than {self._limits.layer} bytes")
            yield response, body, request

    async def _read_once(
        self, endpoint: Endpoint, request: Request, wanted: _Range, early: Early | None
    ) -> bytes:
        assert wanted.length is not None  # noqa: S101 (for the type checker)
        async with self._located(endpoint, request, wanted) as response:
            body = self._plan(endpoint, response, wanted)
            data = await self._body(response, request, body.skip, wanted.length, early)
            if len(data) < wanted.length:
                raise RemoteError(
                    f"{wanted.what}: got {len(data)} of {wanted.length} bytes", temporary=True
                )
            if not body.more and (len(data) > wanted.length or await response.content.read(1)):
                raise RemoteError(f"{wanted.what}: more than the {wanted.length} bytes asked for")
            return data[: wanted.length]

    async def _body(
        self,
        response: aiohttp.ClientResponse,
        request: Request,
        skip: int,
        length: int,
        early: Early | None,
    ) -> bytes:
        """Return what is behind the first `skip` bytes until there are `length` or, with what came
        along, a few more; fewer if the body ends. Each byte is copied once.
        """
        parts: list[memoryview] = []
        size = 0
        while length > 0:
            part, _ = await response.content.readchunk()
            if not part:
                break
            self._transport.count_received(request, len(part))
            dropped = min(skip, len(part))
            skip -= dropped
            self._statistics.discarded += dropped
            parts.append(memoryview(part)[dropped:])
            length -= len(parts[-1])
            size += len(parts[-1])
            if early is not None and size >= early.length:
                early.arrived(b"".join(parts)[: early.length])
                early = None
        return b"".join(parts)

    def _plan(self, endpoint: Endpoint, response: aiohttp.ClientResponse, wanted: _Range) -> Body:
        headers = response.headers
        try:
            body = plan_body(
                response.status,
                headers.get("Content-Range"),
                headers.get("Content-Length"),
                wanted.offset,
                wanted.length,
            )
        except RemoteError as error:
            message = f"{wanted.what} at {endpoint.base}: {error.message}"
            raise RemoteError(message, temporary=error.temporary) from error
        if wanted.headers and response.status == 200:
            self._statistics.ranges_ignored += 1
            self._calls.poor(endpoint, wanted.topic)
            if endpoint.base not in self._without_ranges:
                self._without_ranges.add(endpoint.base)
                fields = {"endpoint": endpoint.base, "blob": wanted.digest}
                log.warning("registry.range_ignored", extra={"fields": fields})
        if wanted.length is not None and body.skip > self._limits.range_skip:
            raise RemoteError(
                f"{wanted.what}: {endpoint.base} ignores Range requests",
                hint="put a registry or mirror that honours them in front of it",
            )
        return body

    async def _pieces(
        self,
        response: aiohttp.ClientResponse,
        request: Request,
        skip: int,
        length: int | None,
    ) -> AsyncGenerator[bytes]:
        """Yield at most `length` bytes behind the first `skip`, in pieces of up to 1 MiB."""
        left = self._limits.layer if length is None else length
        while left:
            piece = await self._piece(response, request, _PIECE if skip else min(left, _PIECE))
            if not piece:
                return
            if skip:
                dropped = min(skip, len(piece))
                skip -= dropped
                self._statistics.discarded += dropped
                piece = piece[dropped : dropped + left]
            if piece:
                left -= len(piece)
                yield piece
        if length is None and await self._piece(response, request, 1):
            raise CorruptError(f"{request.what} is longer than {self._limits.layer} bytes")

    async def _piece(self, response: aiohttp.ClientResponse, request: Request, most: int) -> bytes:
        """Return up to `most` bytes, as many as come without much waiting; empty at the end.

        What came before a failure is returned; the failure is raised by the next call.
        """
        parts: list[bytes] = []
        size = 0
        try:
            with translated(request.what, response.url):
                async with asyncio.timeout(self._timeouts.transfer(most)):
                    # Half-full pieces are handed on: fewer crossings, yet no long wait.
                    while size < max(1, most // 2):
                        part = await response.content.read(most - size)
                        if not part:
                            break
                        parts.append(part)
                        size += len(part)
        except RemoteError:
            if not parts:
                raise
        self._transport.count_received(request, size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @contextlib.asynccontextmanager
    async def _located(
        self, endpoint: Endpoint, request: Request, wanted: _Range
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a blob where the registry sent us the last time, or ask the registry."""
        key = (endpoint.base, wanted.reference.path, wanted.digest)
        async with contextlib.AsyncExitStack() as stack:
            response = None
            if location := self._locations.get(key):
                try:
                    known = self._transport.open(endpoint, replace(request, url=location))
                    response = await stack.enter_async_context(known)
                except (NotFoundError, RemoteError):
                    # Presigned addresses expire: the registry knows a new one.
                    self._locations.pop(key, None)
            if response is None:
                response = await stack.enter_async_context(self._transport.open(endpoint, request))
                if response.url != request.url:
                    self._locations[key] = response.url
            try:
                yield response
            except BaseException:
                self._locations.pop(key, None)
                raise

    def _request(self, endpoint: Endpoint, wanted: _Range) -> Request:
        return Request(
            what=wanted.what,
            kind="blob",
            url=endpoint_url(endpoint, f"{wanted.reference.path}/blobs/{wanted.digest}"),
            scope=Scope(wanted.reference.path),
            headers=wanted.headers,
            answers=_answers(wanted),
        )


def _answers(wanted: _Range) -> frozenset[int]:
    if not wanted.headers:
        return frozenset({200})
    return frozenset({200, 206} if wanted.length is not None else {200, 206, 416})


def _left(wanted: _Range, total: int | None) -> int | None:
    """Return how many bytes a stream still has to give; None if nobody has said.

    `wanted` is what is left of it, `total` the size of the blob where that is known.
    """
    if wanted.length is not None or total is None:
        return wanted.length
    return total - wanted.offset


def _end(wanted: _Range, body: Body) -> int:
    """Return where a blob ends whose stream has ended, as far as it was wanted.

    Raises:
        RemoteError: the answer has ended, and the stream should not have.
    """
    if left := _left(wanted, body.total):
        raise RemoteError(
            f"{wanted.what} ended at byte {wanted.offset}, {left} too early", temporary=True
        )
    return wanted.offset


def _agreed(known: int | None, total: int | None, wanted: _Range) -> int | None:
    if known is not None and total is not None and known != total:
        raise RemoteError(f"{wanted.what} was {known} bytes long, now it is {total}")
    return total if known is None else known
