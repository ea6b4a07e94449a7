"""Bodies of requests: all bytes in order, whoever takes them how slowly, and whatever happens."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from fuse_hdfs.stores.webhdfs_sending import SentBody

DATA = random.Random(42).randbytes(9_000_001)


@contextlib.asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """Serve PUT; yields the address."""
    application = web.Application(client_max_size=1 << 30)
    application.router.add_put("/", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def parts(*sizes: int) -> AsyncGenerator[memoryview]:
    """Yield the data in such parts, and then the rest."""
    rest = memoryview(DATA)
    for size in sizes:
        yield rest[:size]
        rest = rest[size:]
        await asyncio.sleep(0)
    yield rest


async def slowly(request: web.Request) -> web.Response:
    """Take a body with breaths between; answer with what it was."""
    found = bytearray()
    while piece := await request.content.read(1 << 20):
        found += piece
        await asyncio.sleep(0.002)
    return web.Response(status=201, body=bytes(found))


@pytest.mark.parametrize("sizes", [(), (1,), (1, 70_000, 4_000_000), (8_000_000, 1_000_000)])
async def test_all_bytes_arrive_in_order_over_one_connection_after_the_other(
    sizes: tuple[int, ...],
) -> None:
    async with serving(slowly) as address, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.put(address, data=SentBody(parts(*sizes))) as response:
                assert (response.status, await response.read()) == (201, DATA)


async def test_a_body_of_nothing_arrives() -> None:
    async def nothing() -> AsyncGenerator[memoryview]:
        for piece in list[memoryview]():
            yield piece

    async with (
        serving(slowly) as address,
        aiohttp.ClientSession() as session,
        session.put(address, data=SentBody(nothing())) as response,
    ):
        assert (response.status, await response.read()) == (201, b"")


async def test_an_answer_that_comes_before_the_end_is_seen_and_nothing_hangs() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403, headers={"Connection": "close"})

    async with serving(refuse) as address, aiohttp.ClientSession() as session:
        with contextlib.suppress(aiohttp.ClientOSError):  # the answer may be lost with a reset
            async with session.put(address, data=SentBody(parts(5_000_000))) as response:
                assert response.status == 403


async def test_a_connection_that_is_lost_is_an_error() -> None:
    async def vanish(request: web.Request) -> web.Response:
        await request.content.read(1)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(vanish) as address, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.put(address, data=SentBody(parts(5_000_000))):
                pass


async def test_what_the_content_raises_ends_the_request() -> None:
    async def breaking() -> AsyncGenerator[memoryview]:
        yield memoryview(DATA)[:1_000_000]
        raise ValueError("no more")

    async with serving(slowly) as address, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError, match="no more"):
            async with session.put(address, data=SentBody(breaking())):
                pass


async def test_nobody_sends_on_for_one_who_was_cancelled() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def stalled(request: web.Request) -> web.Response:
        begun.set()
        await over.wait()
        return web.Response()

    async with serving(stalled) as address, aiohttp.ClientSession() as session:
        sending = asyncio.create_task(session.put(address, data=SentBody(parts())).__aenter__())
        await begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        over.set()
