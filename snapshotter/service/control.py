"""The daemon's own interface for people and tools: HTTP with JSON over a unix socket.

GET /v1/status   what is served, how much of it is local, what it cost so far
GET /healthz     200 once the daemon serves
"""

import contextlib
import os
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

_STARTED: Final = time.time()


def status_of(
    layers: list[dict[str, Any]], mounted: list[str], hot: dict[str, Any]
) -> dict[str, Any]:
    """Return the status document; see `docs/cli.md` for its fields."""
    return {
        "pid": os.getpid(),
        "uptime_s": round(time.time() - _STARTED, 1),
        "mounted": mounted,
        "layers": layers,
        "hot": hot,
    }


@contextlib.asynccontextmanager
async def serve_control(
    path: Path, status: Callable[[], Awaitable[dict[str, Any]]]
) -> AsyncIterator[None]:
    """Serve on the socket `path` (root only) while the context is open."""

    async def get_status(request: web.Request) -> web.Response:
        return web.json_response(await status())

    async def get_health(request: web.Request) -> web.Response:
        return web.json_response({"status": "serving"})

    application = web.Application()
    application.add_routes([web.get("/v1/status", get_status), web.get("/healthz", get_health)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    try:
        await web.UnixSite(runner, str(path), shutdown_timeout=1.0).start()
        path.chmod(0o600)
        yield
    finally:
        await runner.cleanup()
