"""A registry that lies on demand: honest by default, each fault is a function a test installs.

Everything is in memory. `registry.on("blob", fault, times=1)` lets the next blob request be
answered by `fault`; after that the honest answer is back. Kinds are `manifest`, `blob`,
`referrers`, `token`, `upload`.
"""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bootseer.digests import digest_of
from snapshotter.registry.manifests import OCI_INDEX
from snapshotter.registry.reference import Reference
from snapshotter.registry.retry import RetryPolicy
from snapshotter.registry.settings import ClientSettings, Timeouts

SECRET = "s3cr3t-pa55word"
TOKEN = "t0ken-of-the-service"

QUICK = ClientSettings(
    timeouts=Timeouts(connect=10, stall=10, request=20),
    retries=RetryPolicy(attempts=3, first_pause=0.001, longest_pause=0.002),
    environment_proxy=False,
    settle=0.01,
)
"""Settings under which a test of failures does not take long."""


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    kind: str
    method: str
    path: str
    headers: dict[str, str]


Handler = Callable[["HostileRegistry", web.Request], Awaitable[web.StreamResponse]]


@dataclass
class HostileRegistry:
    """One server. Fields may be changed while it runs."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    """By (repository, tag or digest): (media type, bytes)."""
    seen: list[Seen] = field(default_factory=list)
    referrers_api: bool = True
    page: int = 1000
    """Referrers on one page."""
    token_required: bool = False
    host: str = ""
    _faults: dict[str, list[tuple[Handler, int]]] = field(default_factory=lambda: defaultdict(list))

    def on(self, kind: str, fault: Handler, times: int = 1_000_000) -> None:
        """Answer the next `times` requests of a kind by `fault`."""
        self._faults[kind].append((fault, times))

    def behave(self) -> None:
        """Answer honestly from now on."""
        self._faults.clear()

    def reference(self, path: str = "a/b", tag: str | None = "1") -> Reference:
        """Return a reference to a repository here."""
        return Reference(self.host, path, tag)

    def blob(self, data: bytes) -> str:
        """Store a blob; return its digest."""
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    def asked(self, kind: str) -> list[Seen]:
        """Return the requests of a kind."""
        return [one for one in self.seen if one.kind == kind]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request: by the next fault of its kind, or honestly."""
        kind = _kind(request)
        seen = Seen(kind, request.method, request.path_qs, dict(request.headers))
        self.seen.append(seen)
        faults = self._faults[kind]
        if faults:
            fault, times = faults.pop(0)
            if times > 1:
                faults.insert(0, (fault, times - 1))
            return await fault(self, request)
        known = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        if self.token_required and kind != "token" and not known:
            return self.challenge()
        return await self.honest(request)

    def challenge(self) -> web.Response:
        """Ask for a token."""
        realm = f'Bearer realm="http://{self.host}/token",service="tests"'
        return web.Response(status=401, headers={"WWW-Authenticate": realm})

    async def honest(self, request: web.Request) -> web.StreamResponse:
        """Answer as a registry should."""
        kind = _kind(request)
        parts = request.path.removeprefix("/v2/").rsplit("/", 2)
        if kind == "token":
            return web.json_response({"token": TOKEN, "expires_in": 300})
        if kind == "manifest":
            return await self._manifest(request, parts[0], parts[2])
        if kind == "referrers":
            return self._referrers(request, parts[0], parts[2])
        if kind == "blob":
            return ranged(request, self.blobs.get(parts[2]))
        return await self._upload(request)

    async def _manifest(self, request: web.Request, path: str, target: str) -> web.Response:
        if request.method == "PUT":
            data = await request.read()
            stored = (request.content_type, data)
            self.manifests[path, target] = self.manifests[path, digest_of(data)] = stored
            subject = json.loads(data).get("subject", {}).get("digest", "")
            headers = {"OCI-Subject": subject} if subject and self.referrers_api else {}
            return web.Response(status=201, headers=headers)
        found = self.manifests.get((path, target))
        if found is None:
            return error(404, "MANIFEST_UNKNOWN")
        headers = {"Content-Type": found[0], "Docker-Content-Digest": digest_of(found[1])}
        return web.Response(body=found[1], headers=headers)

    def _referrers(self, request: web.Request, path: str, subject: str) -> web.Response:
        if not self.referrers_api:
            return web.Response(status=404, text="404 page not found")
        entries = self._descriptors(path, subject)
        first = int(request.query.get("last", "0"))
        page = entries[first : first + self.page]
        headers = {"Content-Type": OCI_INDEX}
        if first + self.page < len(entries):
            following = f"{request.path}?last={first + self.page}"
            headers["Link"] = f'<{following}>; rel="next"'
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page or None}
        return web.Response(body=json.dumps(body).encode(), headers=headers)

    def _descriptors(self, path: str, subject: str) -> list[dict[str, Any]]:
        found = []
        for (repository, target), (media_type, data) in self.manifests.items():
            document = json.loads(data)
            if repository != path or target != digest_of(data):
                continue
            if document.get("subject", {}).get("digest") == subject:
                entry = {
                    "mediaType": media_type,
                    "digest": digest_of(data),
                    "size": len(data),
                    # as the distribution specification has it
                    "artifactType": document.get("artifactType") or document["config"]["mediaType"],
                    "annotations": document.get("annotations"),
                }
                found.append(entry)
        return found

    async def _upload(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            # Relative, and with a query of its own: both are allowed.
            return web.Response(status=202, headers={"Location": f"{request.path}1?state=x%2By"})
        data = await request.read()
        if request.query.get("state") != "x+y":
            return error(400, "BLOB_UPLOAD_INVALID")
        if digest_of(data) != request.query.get("digest"):
            return error(400, "DIGEST_INVALID")
        self.blob(data)
        return web.Response(status=201)


def _kind(request: web.Request) -> str:
    path = request.path
    if path == "/token":
        return "token"
    for part, kind in (
        ("/blobs/uploads/", "upload"),
        ("/manifests/", "manifest"),
        ("/referrers/", "referrers"),
    ):
        if part in path:
            return kind
    return "blob"


def error(status: int, code: str) -> web.Response:
    """Return an error as the distribution specification has it."""
    return web.json_response({"errors": [{"code": code, "message": code.lower()}]}, status=status)


def ranged(request: web.Request, data: bytes | None) -> web.Response:
    """Return a blob, or the range that was asked for."""
    if data is None:
        return error(404, "BLOB_UNKNOWN")
    asked = request.headers.get("Range")
    if asked is None:
        return web.Response(body=data)
    first, last = wanted(request, len(data))
    if first >= len(data):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return web.Response(status=206, body=data[first : last + 1], headers=headers)


def wanted(request: web.Request, size: int) -> tuple[int, int]:
    """Return first and last byte that a request asks for."""
    first, _, last = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
    return int(first), min(int(last or size - 1), size - 1)


def _data(registry: HostileRegistry, request: web.Request) -> bytes:
    return registry.blobs[request.path.rsplit("/", 1)[1]]


async def _partly(
    request: web.Request, headers: dict[str, str], status: int, body: bytes
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    await response.write(body)
    return response


# Faults. Each is a `Handler`, or makes one.


async def wrong_content_range(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send the right bytes as another range."""
    data = _data(registry, request)
    first, last = wanted(request, len(data))
    headers = {"Content-Range": f"bytes {first + 1}-{last + 1}/{len(data) + 1}"}
    return web.Response(status=206, body=data[first : last + 1], headers=headers)


async def no_content_range(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send a 206 that does not say which bytes it holds."""
    data = _data(registry, request)
    first, last = wanted(request, len(data))
    return web.Response(status=206, body=data[first : last + 1])


async def less_than_asked(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send half the range, and say so."""
    data = _data(registry, request)
    first, last = wanted(request, len(data))
    middle = (first + last) // 2
    headers = {"Content-Range": f"bytes {first}-{middle}/{len(data)}"}
    return web.Response(status=206, body=data[first : middle + 1], headers=headers)


async def ignored_range(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send the whole blob whatever was asked for."""
    return web.Response(body=_data(registry, request))


async def other_bytes(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send other bytes, correctly framed."""
    honest = ranged(request, _data(registry, request))
    body = honest.body
    assert isinstance(body, bytes)
    honest.body = bytes(byte ^ 0xFF for byte in body)
    return honest


async def compressed(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Say that the body is compressed."""
    honest = ranged(request, _data(registry, request))
    honest.headers["Content-Encoding"] = "gzip"
    return honest


def broken_after(size: int) -> Handler:
    """Send so many bytes of the answer's body, then reset the connection."""

    async def fault(registry: HostileRegistry, request: web.Request) -> web.StreamResponse:
        data = _data(registry, request)
        first, last = wanted(request, len(data))
        partial = "Range" in request.headers
        headers = {"Content-Length": str(last - first + 1)}
        if partial:
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        body = data[first : last + 1][:size]
        response = await _partly(request, headers, 206 if partial else 200, body)
        await asyncio.sleep(0.05)  # let what was written arrive
        assert request.transport is not None
        request.transport.abort()
        return response

    return fault


def chunked(change: Callable[[bytes], bytes]) -> Handler:
    """Send a changed body without a length: only counting tells."""

    async def fault(registry: HostileRegistry, request: web.Request) -> web.StreamResponse:
        data = _data(registry, request)
        first, last = wanted(request, len(data))
        headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
        return await _partly(request, headers, 206, change(data[first : last + 1]))

    return fault


async def chunked_whole(registry: HostileRegistry, request: web.Request) -> web.StreamResponse:
    """Send the whole blob without saying how long it is."""
    return await _partly(request, {}, 200, _data(registry, request))


async def stall(registry: HostileRegistry, request: web.Request) -> web.StreamResponse:
    """Send a byte and then nothing more, for longer than anybody waits."""
    data = _data(registry, request)
    first, last = wanted(request, len(data))
    headers = {
        "Content-Length": str(last - first + 1),
        "Content-Range": f"bytes {first}-{last}/{len(data)}",
    }
    response = await _partly(request, headers, 206, data[first : first + 1])
    await asyncio.sleep(60)
    return response


async def silent(registry: HostileRegistry, request: web.Request) -> web.StreamResponse:
    """Never answer."""
    del registry, request
    await asyncio.sleep(60)
    return web.Response()


async def reset(registry: HostileRegistry, request: web.Request) -> web.StreamResponse:
    """Break the connection instead of answering."""
    del registry
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def shifted_bytes(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send the bytes behind those that were asked for, and call them what was asked for."""
    data = _data(registry, request)
    first, last = wanted(request, len(data))
    body = (data[first + 1 :] + data)[: last - first + 1]
    headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return web.Response(status=206, body=body, headers=headers)


async def another_blob(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send a whole other object, correctly framed."""
    del registry, request
    return web.Response(body=b"{}")


async def several_parts(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Answer one range as if there were several."""
    data = _data(registry, request)
    first, last = wanted(request, len(data))
    head = f"--x\r\nContent-Range: bytes {first}-{last}/{len(data)}\r\n\r\n".encode()
    body = head + data[first : last + 1] + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/byteranges; boundary=x"}
    return web.Response(status=206, body=body, headers=headers)


async def huge_headers(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send more of a header than anybody wants to read."""
    honest = ranged(request, _data(registry, request))
    honest.headers["X-Padding"] = "x" * 200_000
    return honest


async def no_http(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Send what is no HTTP at all."""
    del registry
    assert request.transport is not None
    assert isinstance(request.transport, asyncio.WriteTransport)
    request.transport.write(b"\x16\x03\x01 SSH-2.0 220 hello\r\n\r\n" * 10)
    request.transport.abort()
    return web.Response()


def answers(status: int, **headers: str) -> Handler:
    """Answer with a status; underscores in the names of headers are dashes."""

    async def fault(registry: HostileRegistry, request: web.Request) -> web.Response:
        del registry, request
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, headers=named)

    return fault


def redirects(location: str) -> Handler:
    """Redirect everything to an address."""
    return answers(307, Location=location)


async def redirects_to_itself(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Redirect in circles."""
    del registry
    return web.Response(status=307, headers={"Location": request.path_qs})


async def refuses_every_token(registry: HostileRegistry, request: web.Request) -> web.Response:
    """Ask for a token whatever was sent."""
    del request
    return registry.challenge()


@contextlib.asynccontextmanager
async def hostile_registry() -> AsyncIterator[HostileRegistry]:
    """Run one on a free loopback port."""
    registry = HostileRegistry()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", registry.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        registry.host = f"127.0.0.1:{runner.addresses[0][1]}"
        yield registry
    finally:
        await runner.cleanup()
