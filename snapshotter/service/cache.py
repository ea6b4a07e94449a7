"""The cache over HTTP on the control socket: requests in, errors to status codes.

GET  /v1/cache          what is in it
POST /v1/cache/collect  {"dry_run"?}: remove what nothing uses
POST /v1/cache/verify   {"names"?}: hash what is cached again; a line of JSON a layer, once done
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiohttp import web

from bootseer.errors import BootseerError, UsageError
from snapshotter.blocks.names import LayerName, parse_name
from snapshotter.caching.describe import describe, removed
from snapshotter.caching.keeping import CacheKeeping
from snapshotter.caching.scrub import Scrub

log = logging.getLogger(__name__)

_MOST: Final = 1 << 20
"""Bytes of a question."""
_BODY_S: Final = 10.0

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def cache_routes(keeping: CacheKeeping, scrub: Scrub) -> list[web.RouteDef]:
    """Return the routes."""

    async def get(request: web.Request) -> web.StreamResponse:
        return web.json_response(describe(await keeping.measure(), keeping.bounds))

    async def collect(request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        gone = await keeping.collect(dry_run=asked.get("dry_run") is True)
        return web.json_response(removed(gone))

    async def verify(request: web.Request) -> web.StreamResponse:
        names = _names(await _asked(request))
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)
        async for done in scrub.verify(names):
            await answer.write(json.dumps(done.document()).encode() + b"\n")
        await answer.write_eof()
        return answer

    return [
        web.get("/v1/cache", _guarded(get)),
        web.post("/v1/cache/collect", _guarded(collect)),
        web.post("/v1/cache/verify", _guarded(verify)),
    ]


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BootseerError as error:
            status = 400 if isinstance(error, UsageError) else 503
            return web.json_response({"error": str(error)}, status=status)

    return guarded


async def _asked(request: web.Request) -> dict[str, Any]:
    """Return what a question says; nothing is as good as an empty object."""
    if request.content_length is None or request.content_length > _MOST:
        raise UsageError(f"a question has at most {_MOST} bytes")
    try:
        async with asyncio.timeout(_BODY_S):
            found = json.loads(await request.read() or b"{}")
    except (ValueError, TimeoutError) as error:
        raise UsageError("a question is a JSON object") from error
    if not isinstance(found, dict):
        raise UsageError("a question is a JSON object")
    return found


def _names(asked: dict[str, Any]) -> list[LayerName] | None:
    """Return the layers that a question names; None for all."""
    given = asked.get("names")
    if given is None:
        return None
    names = (
        [parse_name(one) for one in given if isinstance(one, str)]
        if isinstance(given, list)
        else []
    )
    found = [name for name in names if name]
    if not isinstance(given, list) or len(found) != len(given):
        raise UsageError("`names` are names of layers, as `bootseer cache ls` shows them")
    return found
