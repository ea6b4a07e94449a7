"""Serving numbers over HTTP: `/metrics` on a unix socket, and over TCP on loopback addresses.

Beside them `/healthz`: 200 once the program serves, 503 before.
"""

import contextlib
import logging
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
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


@contextlib.asynccontextmanager
async def serve_socket(
    path: Path, routes: Sequence[web.RouteDef], mode: int = 0o600
) -> AsyncIterator[None]:
    """Serve on the unix socket `path`, by default for root only, while the context is open.

    OSError if it cannot be made.
    """
    async with _running(routes) as runner:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        await web.UnixSite(runner, str(path)).start()
        path.chmod(mode)
        yield


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
