"""A registry of which blobs are served as a test wants: honestly, wrongly, or not at all.

It stands in front of a real registry. It runs in a thread of its own, so that a test may block.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from aiohttp import ClientSession, web
from whole import LocalRegistry

Answer = Callable[[web.Request, bytes, int, int], Awaitable[web.StreamResponse]]
"""Answers a request for the bytes from first to last (included) of a blob."""


class RegistryProxy:
    """`answer` and `answers` may be changed at any time."""

    def __init__(self, registry: LocalRegistry) -> None:
        self.registry = registry
        self.answer: Answer = honest
        """How requests for blobs are answered."""
        self.answers: dict[str, Answer] = {}
        """By repository or by the blob's digest, where that differs from `answer`."""
        self.host = ""
        self.asked: list[str] = []
        """Paths of the blobs that were asked for."""

    def asked_in(self, repository: str) -> bool:
        """Say whether a blob of a repository was asked for."""
        return any(path.split("/")[2] == repository for path in self.asked)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a GET of a blob; let the registry answer everything else."""
        if request.method == "GET" and "/blobs/sha256:" in request.path:
            self.asked.append(request.path)
            digest = request.path.rsplit("/", 1)[1]
            data = self.registry.blob_file(digest).read_bytes()
            first, _, last = request.headers.get("Range", "bytes=0-")[6:].partition("-")
            repository = request.path.split("/")[2]
            answer = self.answers.get(digest) or self.answers.get(repository, self.answer)
            return await answer(
                request, data, int(first), min(int(last or len(data)), len(data) - 1)
            )
        url = f"http://{self.registry.host}{request.path_qs}"
        headers = {"Accept": ", ".join(request.headers.getall("Accept", []))}
        if "Content-Type" in request.headers:
            headers["Content-Type"] = request.headers["Content-Type"]
        body = await request.read()
        async with (
            ClientSession() as session,
            session.request(request.method, url, headers=headers, data=body) as found,
        ):
            told = ("Content-T", "Docker", "Location", "OCI")
            kept = {k: v for k, v in found.headers.items() if k.startswith(told)}
            return web.Response(status=found.status, headers=kept, body=await found.read())


async def honest(request: web.Request, data: bytes, first: int, last: int) -> web.StreamResponse:
    """Answer as a registry should."""
    if "Range" not in request.headers:
        return web.Response(body=data)
    headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return web.Response(status=206, body=data[first : last + 1], headers=headers)


async def whole_blob(
    request: web.Request, data: bytes, first: int, last: int
) -> web.StreamResponse:
    """Ignore Range."""
    del request, first, last
    return web.Response(body=data)


async def wrong_range(
    request: web.Request, data: bytes, first: int, last: int
) -> web.StreamResponse:
    """Send the bytes behind those that were asked for, and say so."""
    del request
    size = last - first + 1
    start = (first + 4096) % max(1, len(data) - size)
    headers = {"Content-Range": f"bytes {start}-{start + size - 1}/{len(data)}"}
    return web.Response(status=206, body=data[start : start + size], headers=headers)


async def other_bytes(
    request: web.Request, data: bytes, first: int, last: int
) -> web.StreamResponse:
    """Send other bytes as those that were asked for."""
    del request
    headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
    body = bytes(byte ^ 0x55 for byte in data[first : last + 1])
    return web.Response(status=206, body=body, headers=headers)


async def short_body(
    request: web.Request, data: bytes, first: int, last: int
) -> web.StreamResponse:
    """Promise all, send half, hang up."""
    response = await _begin(request, data, first, last)
    await response.write(data[first : (first + last) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def stalled(request: web.Request, data: bytes, first: int, last: int) -> web.StreamResponse:
    """Promise all, send half, fall silent."""
    response = await _begin(request, data, first, last)
    await response.write(data[first : (first + last) // 2])
    await asyncio.Event().wait()
    return response


async def trickling(request: web.Request, data: bytes, first: int, last: int) -> web.StreamResponse:
    """Send everything, a little at a time."""
    response = await _begin(request, data, first, last)
    for at in range(first, last + 1, 16 << 10):
        await response.write(data[at : min(at + (16 << 10), last + 1)])
        await asyncio.sleep(0.02)
    return response


async def lingering(request: web.Request, data: bytes, first: int, last: int) -> web.StreamResponse:
    """Send half, then a byte now and then: no time-out sees it."""
    response = await _begin(request, data, first, last)
    middle = (first + last) // 2
    await response.write(data[first:middle])
    for at in range(middle, last + 1):
        await asyncio.sleep(0.1)
        await response.write(data[at : at + 1])
    return response


async def silent(request: web.Request, data: bytes, first: int, last: int) -> web.StreamResponse:
    """Never answer."""
    del request, data, first, last
    await asyncio.Event().wait()
    return web.Response()


async def _begin(request: web.Request, data: bytes, first: int, last: int) -> web.StreamResponse:
    headers = {"Content-Length": str(last - first + 1)}
    if "Range" in request.headers:
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    response = web.StreamResponse(status=206 if "Range" in request.headers else 200)
    response.headers.update(headers)
    await response.prepare(request)
    return response


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _serve(handle: Handler, ready: "Future[str]", stop: asyncio.Event) -> None:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(
        application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ready.set_result(f"127.0.0.1:{runner.addresses[0][1]}")
    await stop.wait()
    with suppress(asyncio.CancelledError):
        await runner.cleanup()


@contextmanager
def registry_proxy(registry: LocalRegistry) -> Iterator[RegistryProxy]:
    """Run one on a free loopback port during the block."""
    proxy = RegistryProxy(registry)
    with serving(proxy.handle) as proxy.host:
        yield proxy


@contextmanager
def serving(handle: Handler) -> Iterator[str]:
    """Serve on a free loopback port, in a thread, during the block; give the port's address."""
    ready: Future[str] = Future()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(handle, ready, stop),))
    thread.start()
    try:
        yield ready.result(timeout=10)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
