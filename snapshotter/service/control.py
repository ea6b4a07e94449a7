"""The daemon's own interface for people and tools: HTTP over a unix socket, root only.

GET /v1/status   what is served, how much of it is local, what it cost so far (JSON)
GET /metrics     the same as numbers, for Prometheus
GET /healthz     200 once the daemon serves

`/metrics` can be had over TCP as well, from this machine's loopback addresses.
"""

import contextlib
import logging
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from snapshotter.metrics.exposition import CONTENT_TYPE

log = logging.getLogger(__name__)

_CLOSE_S: Final = 1.0

Status = Callable[[], Awaitable[dict[str, Any]]]
Metrics = Callable[[], Awaitable[str]]


@contextlib.asynccontextmanager
async def serve_control(path: Path, status: Status, metrics: Metrics) -> AsyncIterator[None]:
    """Serve on the socket `path` (root only) while the context is open."""

    async def get_status(request: web.Request) -> web.Response:
        return web.json_response(await status())

    async def get_health(request: web.Request) -> web.Response:
        return web.json_response({"status": "serving"})

    routes = [web.get("/v1/status", get_status), web.get("/healthz", get_health)]
    async with _running([*routes, _metrics_route(metrics)]) as runner:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        await web.UnixSite(runner, str(path)).start()
        path.chmod(0o600)
        yield


@contextlib.asynccontextmanager
async def serve_metrics(address: str, metrics: Metrics) -> AsyncIterator[None]:
    """Serve `/metrics` over TCP at `host:port` while the context is open; nowhere if it is empty.

    A port that is taken is a line in the log: containers start without metrics as well.
    """
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")
    async with _running([_metrics_route(metrics)]) as runner:
        fields = {"address": address}
        try:
            host = host.strip("[]")
            await web.TCPSite(runner, host, int(port)).start()
        except OSError as error:
            log.error("metrics.not_served", extra={"fields": fields | {"reason": str(error)}})
        else:
            log.info("metrics.serving", extra={"fields": fields})
        yield


def _metrics_route(metrics: Metrics) -> web.RouteDef:
    async def get_metrics(request: web.Request) -> web.Response:
        body = (await metrics()).encode()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    return web.get("/metrics", get_metrics)


@contextlib.asynccontextmanager
async def _running(routes: list[web.RouteDef]) -> AsyncIterator[web.AppRunner]:
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
