"""Answers of a daemon that say no, or nothing that a client knows how to read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bootseer.cli.control import fetch
from bootseer.errors import HostError
from depsnap.mounting.daemon import Daemon, NotMountedError

Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def answering(path: Path, handler: Handler) -> AsyncIterator[Path]:
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
        yield path
    finally:
        await runner.cleanup()


async def broken(_: web.Request) -> web.Response:
    raise RuntimeError("a bug of the daemon")


async def refusing(_: web.Request) -> web.Response:
    return web.json_response({"error": "not today"}, status=403)


async def babbling(_: web.Request) -> web.Response:
    return web.Response(text="hello")


@pytest.mark.parametrize(
    ("handler", "said"),
    [(broken, "answers 500"), (refusing, "not today"), (babbling, "not a JSON document")],
)
async def test_who_asks_for_a_mount_is_told_what_the_daemon_answered(
    tmp_path: Path, handler: Handler, said: str
) -> None:
    async with answering(tmp_path / "socket", handler) as path:
        with pytest.raises(NotMountedError, match=said):
            await asyncio.to_thread(Daemon(path, 5.0).unmount, ["/venv"])


@pytest.mark.parametrize(("handler", "said"), [(broken, "answers 500"), (refusing, "not today")])
async def test_who_asks_for_a_document_is_told_what_the_daemon_answered(
    tmp_path: Path, handler: Handler, said: str
) -> None:
    async with answering(tmp_path / "socket", handler) as path:
        with pytest.raises(HostError, match=said) as error:
            await asyncio.to_thread(fetch, path, "/v1/cache")
        assert "does not answer" not in error.value.message
