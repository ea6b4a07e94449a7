"""The daemon's own interface for people and tools: HTTP over a unix socket, root only.

GET /v1/status   what is served, how much of it is local, what it cost so far (JSON)
GET /metrics     the same as numbers, for Prometheus
GET /healthz     200 once the daemon serves
POST /v1/deps/…  dependency snapshots (`snapshotter.service.dependencies`)

`/metrics` can be had over TCP as well (`bootseer.metrics.serving`).
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from bootseer.metrics.serving import Metrics, metrics_route, serve_socket

Status = Callable[[], Awaitable[dict[str, Any]]]


@contextlib.asynccontextmanager
async def serve_control(
    path: Path, status: Status, metrics: Metrics, more: Sequence[web.RouteDef] = ()
) -> AsyncIterator[None]:
    """Serve on the socket `path` (root only) while the context is open."""

    async def get_status(request: web.Request) -> web.Response:
        return web.json_response(await status())

    async def get_health(request: web.Request) -> web.Response:
        return web.json_response({"status": "serving"})

    routes = [web.get("/v1/status", get_status), web.get("/healthz", get_health)]
    async with serve_socket(path, [*routes, metrics_route(metrics), *more]):
        yield
