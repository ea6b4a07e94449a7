"""Serving numbers over HTTP: `/metrics` on a unix socket, and over TCP on loopback addresses.

Beside them `/healthz`: 200 once the program serves, 503 before.
"""

import asyncio
import contextlib
import logging
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from aiohttp import web

from bootseer.metrics.exposition import CONTENT_TYPE

log = logging.getLogger(__name__)

_CLOSE_S: Final = 1.0

Metrics: TypeAlias = Callable[[], Awaitable[str]]
"""Returns all metrics as text."""
Ready: TypeAlias = Callable[[], bool]
"""Says whether the program does what it is there for."""
Admit: TypeAlias = Callable[[asyncio.Transport], bool]
"""Says whether a connection that was just made may stay."""


@contextlib.asynccontextmanager
async def serve_socket(
    path: Path, routes: Sequence[web.RouteDef], mode: int = 0o600, admit: Admit | None = None
) -> AsyncIterator[None]:
    """Serve on the unix socket `path`, by default for root only, while the context is open.

    Connections that `admit` does not let in are closed at once. OSError if it cannot be made.
    """
    async with _running(routes) as runner:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        speak = runner.server
        if speak is None:
            raise RuntimeError("the runner was not set up")
        factory = partial(_Door, speak, admit or _everybody)
        server = await asyncio.get_running_loop().create_unix_server(factory, path)
        try:
            path.chmod(mode)
            yield
        finally:
            server.close()


def _everybody(_transport: asyncio.Transport) -> bool:
    return True


class _Door(asyncio.Protocol):
    """Speaks HTTP with whoever is let in."""

    def __init__(self, speak: Callable[[], asyncio.Protocol], admit: Admit) -> None:
        self._speak = speak
        self._admit = admit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection on, or close it."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (of a socket)
        if not self._admit(transport):
            transport.abort()
            return
        protocol = self._speak()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


@contextlib.asynccontextmanager
async def serve_metrics(
    address: str, metrics: Metrics, ready: Ready = lambda: True
) -> AsyncIterator[None]:
    """Serve `/metrics` and `/healthz` over TCP at `host:port` while the context is open.

    Nowhere if the address is empty. A port that is taken is a line in the log and nothing else.
    """
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")
    async with _running([metrics_route(metrics), health_route(ready)]) as runner:
        fields = {"address": address}
        try:
            host = host.strip("[]")
            await web.TCPSite(runner, host, int(port)).start()
        except OSError as error:
            log.error("metrics.not_served", extra={"fields": fields | {"reason": str(error)}})
        else:
            log.info("metrics.serving", extra={"fields": fields})
        yield


def metrics_route(metrics: Metrics) -> web.RouteDef:
    """Return the route of `/metrics`."""

    async def get_metrics(request: web.Request) -> web.Response:
        body = (await metrics()).encode()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    return web.get("/metrics", get_metrics)


def health_route(ready: Ready) -> web.RouteDef:
    """Return the route of `/healthz`."""

    async def get_health(request: web.Request) -> web.Response:
        serving = ready()
        state = "serving" if serving else "starting"
        return web.json_response({"status": state}, status=200 if serving else 503)

    return web.get("/healthz", get_health)


@contextlib.asynccontextmanager
async def _running(routes: Sequence[web.RouteDef]) -> AsyncIterator[web.AppRunner]:
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(
        application, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_S
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()
