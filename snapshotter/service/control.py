"""The daemon's own interface for people and tools: HTTP over a unix socket, root only.

GET /v1/status   what is served, how much of it is local, what it cost so far (JSON)
GET /metrics     the same as numbers, for Prometheus
GET /healthz     200 once the daemon serves, 503 before
GET /v1/containers/…  containers (`snapshotter.service.containers`)
/v1/cache…       the cache (`snapshotter.service.cache`)
POST /v1/deps/…  dependency snapshots (`snapshotter.service.dependencies`)

`/metrics` and `/healthz` can be had over TCP as well (`bootseer.metrics.serving`).
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from bootseer.metrics.serving import Metrics, Ready, health_route, metrics_route, serve_socket

Status = Callable[[], Awaitable[dict[str, Any]]]


@contextlib.asynccontextmanager
async def serve_control(
    path: Path,
    status: Status,
    metrics: Metrics,
    more: Sequence[web.RouteDef] = (),
    ready: Ready = lambda: True,
) -> AsyncIterator[None]:
    """Serve on the socket `path` (root only) while the context is open."""

    async def get_status(request: web.Request) -> web.Response:
        return web.json_response(await status())

    routes = [web.get("/v1/status", get_status), health_route(ready)]
    async with serve_socket(path, [*routes, metrics_route(metrics), *more]):
        yield
