"""Containers over the daemon's own interface.

GET /v1/containers/NAMESPACE/NAME   how much of its image was fetched
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiohttp import web

from bootseer.errors import BootseerError, NotFoundError

_FAILED: Final = 503

ContainerReport: TypeAlias = Callable[[str, str], Awaitable[dict[str, Any]]]
"""Describes a container by namespace and name. NotFoundError if there is none."""


def container_routes(report: ContainerReport) -> list[web.RouteDef]:
    """Return the routes."""

    async def get(request: web.Request) -> web.Response:
        words = request.match_info
        try:
            return web.json_response(await report(words["namespace"], words["name"]))
        except BootseerError as error:
            status = 404 if isinstance(error, NotFoundError) else _FAILED
            return web.json_response({"error": str(error)}, status=status)

    return [web.get("/v1/containers/{namespace}/{name}", get)]
