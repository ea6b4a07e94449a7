"""The laboratory's delaying proxy, a program of its own, in front of a server with large bodies."""

import asyncio
import hashlib
import io
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from whole import wait_for

from benchmarks.lab.access_log import Request, parse
from benchmarks.lab.delay import delayed
from benchmarks.lab.netns import network
from benchmarks.lab.registry import registry
from benchmarks.lab.service import Service, service
from benchmarks.lab.workdir import work_directory

DATA = bytes(range(251)) * 40_000  # 10 MB
TOGETHER = 50
ALL_THERE = web.AppKey("all_there", asyncio.Barrier)


async def download(request: web.Request) -> web.StreamResponse:
    """Answer with the data: whole, the range asked for, in chunks, or without a length.

    `together` is answered once so many ask for it at a time.
    """
    how = request.match_info["how"]
    if how == "together":
        await request.app[ALL_THERE].wait()
        return web.Response()
    if how == "whole":
        part = DATA[request.http_range]
        return web.Response(status=200 if len(part) == len(DATA) else 206, body=part)
    answer = web.StreamResponse()
    if how == "chunks":
        answer.enable_chunked_encoding()
    else:
        answer.force_close()
    await answer.prepare(request)
    for start in range(0, len(DATA), 300_000):
        await answer.write(DATA[start : start + 300_000])
    await answer.write_eof()
    return answer


async def upload(request: web.Request) -> web.Response:
    """Answer with the digest of what was sent."""
    digest = hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
    return web.Response(text=digest.hexdigest())


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """Run the server behind the proxy; give its address."""
    application = web.Application()
    application[ALL_THERE] = asyncio.Barrier(TOGETHER)
    application.router.add_get("/{how}", download)
    application.router.add_put("/", upload)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Proxy:
    """A running proxy."""

    def __init__(self, running: Service) -> None:
        self._running = running
        running.wait_until(lambda: "listening on" in running.log.read_text())
        self.url = "http://" + running.log.read_text().split("listening on ")[1].split("\n")[0]

    def requests(self, count: int) -> list[Request]:
        """Return what was asked, once it is so many."""
        wait_for(lambda: len(self._logged()) >= count, f"{count} requests in the log")
        return self._logged()

    def _logged(self) -> list[Request]:
        return list(parse(self._running.log.read_text().splitlines()))


@asynccontextmanager
async def proxied(directory: Path, milliseconds: float) -> AsyncIterator[Proxy]:
    async with server() as address:
        module = "benchmarks.lab.delaying_proxy"
        argv = [sys.executable, "-m", module, "127.0.0.1:0", address, str(milliseconds)]
        with service("delay", argv, directory / "log") as running:
            yield await asyncio.to_thread(Proxy, running)


async def test_large_bodies_come_through_whole_however_they_are_framed(tmp_path: Path) -> None:
    async with proxied(tmp_path, 0) as proxy, aiohttp.ClientSession() as session:
        for how in ("whole", "chunks", "until-close", "whole"):
            async with session.get(f"{proxy.url}/{how}") as answer:
                assert await answer.read() == DATA
        wanted = {"Range": "bytes=100-2000099"}
        async with session.get(f"{proxy.url}/whole", headers=wanted) as answer:
            assert (answer.status, await answer.read()) == (206, DATA[100:2000100])
        logged = await asyncio.to_thread(proxy.requests, 5)
    assert [(one.method, one.status) for one in logged] == [("GET", 200)] * 4 + [("GET", 206)]
    assert [one.sent for one in logged] == [len(DATA)] * 4 + [2_000_000]


async def pieces() -> AsyncIterator[bytes]:
    for start in range(0, len(DATA), 700_001):
        yield DATA[start : start + 700_001]


@pytest.mark.parametrize("expect", [False, True])
async def test_uploads_come_through_whole_with_a_length_and_in_chunks(
    tmp_path: Path, expect: bool
) -> None:
    async with proxied(tmp_path, 0) as proxy, aiohttp.ClientSession() as session:
        for body in (io.BytesIO(DATA), pieces()):
            async with session.put(proxy.url, data=body, expect100=expect) as answer:
                assert await answer.text() == hashlib.sha256(DATA).hexdigest()
        logged = await asyncio.to_thread(proxy.requests, 2)
    assert [(one.method, one.status, one.sent) for one in logged] == [("PUT", 200, 64)] * 2


async def test_every_request_waits_and_those_of_other_connections_wait_beside_it(
    tmp_path: Path,
) -> None:
    milliseconds = 100.0
    async with proxied(tmp_path, milliseconds) as proxy, aiohttp.ClientSession() as session:

        async def ask(how: str) -> None:
            async with session.get(f"{proxy.url}/{how}") as answer:
                assert answer.status == 200
                await answer.read()

        began = time.monotonic()
        await ask("whole")
        await ask("whole")
        assert time.monotonic() - began >= 2 * milliseconds / 1000
        await asyncio.gather(*(ask("together") for _ in range(TOGETHER)))
        await asyncio.to_thread(proxy.requests, 2 + TOGETHER)


async def test_what_is_no_http_ends_its_own_connection_only(tmp_path: Path) -> None:
    async with proxied(tmp_path, 0) as proxy, aiohttp.ClientSession() as session:
        host, port = proxy.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"good morning\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        async with session.get(f"{proxy.url}/whole") as answer:
            assert await answer.read() == DATA


@pytest.mark.containers
def test_node_reaches_the_registry_from_afar_until_the_block_ends() -> None:
    with work_directory() as work, network(None) as net, registry(net, work / "r") as near:
        with delayed(net, near, 0) as same:
            assert same is near
        with delayed(net, near, 5) as far:
            assert far.host != near.host
            ask = f"import urllib.request as u; print(u.urlopen('http://{far.host}/v2/').status)"
            asked = subprocess.run(
                net.in_node([sys.executable, "-c", ask]), capture_output=True, text=True, check=True
            )
            assert asked.stdout == "200\n"
            wait_for(lambda: len(far.new_requests()) == 1, "the request in the proxy's log")
            assert [one.path for one in near.requests()] == ["/v2/"]
        assert far.running.process.returncode is not None
