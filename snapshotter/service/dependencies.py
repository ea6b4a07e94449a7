"""Dependency snapshots over HTTP on a Unix socket: requests in, errors to status codes.

POST /v1/deps/mount     {"name", "key", "roots", "store"?, "stale"?, "digest"?}
POST /v1/deps/unmount   {"roots"}
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from aiohttp import web

from bootseer.errors import BootseerError, NotFoundError, UsageError
from bootseer.metrics.serving import serve_socket
from snapshotter.containers.lookup import ContainerLookup
from snapshotter.dependencies.containers import ContainerGrants
from snapshotter.dependencies.crowd import Crowd
from snapshotter.dependencies.grants import Grant
from snapshotter.dependencies.peers import Peer, RefusedError, peer_of
from snapshotter.dependencies.requests import MOST, parse_mount, parse_unmount
from snapshotter.dependencies.service import Dependencies

log = logging.getLogger(__name__)

GrantOf: TypeAlias = Callable[[Peer], Awaitable[Grant]]
"""Says what a peer may have. RefusedError: nothing."""
_STATUS: Final[tuple[tuple[type[BootseerError], int], ...]] = (
    (RefusedError, 403),
    (NotFoundError, 404),
    (UsageError, 400),
)
_FAILED: Final = 503
_BODY_S: Final = 10.0


def dependency_routes(dependencies: Dependencies, grant_of: GrantOf) -> list[web.RouteDef]:
    """Return the routes."""

    async def mount(request: web.Request) -> dict[str, Any]:
        asked = parse_mount(await _body(request))
        with dependencies.counters.counted(), peer_of(_connection(request)) as peer:
            done = await dependencies.mount(asked, peer, await grant_of(peer))
        head = done.stored.head
        return {
            "points": list(done.points),
            "loose": done.loose,
            "digest": done.stored.digest,
            "generation": done.stored.generation,
            "entries": head.entries,
            "fresh_until": head.fresh_until,
            "users": {str(number): name for number, name in head.users.items()},
            "groups": {str(number): name for number, name in head.groups.items()},
        }

    async def unmount(request: web.Request) -> dict[str, Any]:
        roots = parse_unmount(await _body(request))
        with peer_of(_connection(request)) as peer:
            await grant_of(peer)
            return {"unmounted": await dependencies.unmount(roots, peer)}

    return [
        web.post("/v1/deps/mount", _guarded(mount)),
        web.post("/v1/deps/unmount", _guarded(unmount)),
    ]


def _guarded(
    work: Callable[[web.Request], Awaitable[dict[str, Any]]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        try:
            return web.json_response(await work(request))
        except BootseerError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), _FAILED)
            fields = {"path": request.path, "status": status, "reason": error.message}
            log.warning("deps.refused", extra={"fields": fields})
            return web.json_response({"error": str(error)}, status=status)
        except OSError as error:
            log.warning("deps.failed", extra={"fields": {"reason": str(error)}})
            return web.json_response({"error": str(error)}, status=_FAILED)

    return handler


@contextlib.asynccontextmanager
async def serve_pods(
    path: str, dependencies: Dependencies, containers: ContainerLookup | None
) -> AsyncIterator[None]:
    """Serve pods at a socket that everybody may connect to, while the context is open.

    With an empty path nothing is served. A socket that cannot be made is a line in the log.
    """
    if not path:
        yield
        return
    grants = ContainerGrants(containers)
    async with contextlib.AsyncExitStack() as stack:
        routes = dependency_routes(dependencies, grants.of)
        try:
            socket_ = serve_socket(Path(path), routes, 0o666, Crowd().admit)
            await stack.enter_async_context(socket_)
        except OSError as error:
            log.error(
                "deps.pods_not_served", extra={"fields": {"path": path, "reason": str(error)}}
            )
        yield


async def _body(request: web.Request) -> bytes:
    if request.content_length is None or request.content_length > MOST:
        raise UsageError(f"a question has at most {MOST} bytes")
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except TimeoutError as error:
        raise UsageError(f"the question took longer than {_BODY_S:.0f} s") from error


def _connection(request: web.Request) -> socket.socket:
    transport = request.transport
    found = transport.get_extra_info("socket") if transport else None
    if found is None:
        raise RefusedError("the process that asked is gone")
    connection: socket.socket = found
    return connection
