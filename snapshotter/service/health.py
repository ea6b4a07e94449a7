"""gRPC health checking: NOT_SERVING until the snapshotter is restored.

Reference: gRPC `doc/health-checking.md`.
"""

# ruff: noqa: N802 (methods are named as the service definition names them)

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, TypeAlias

import grpc
from grpc import aio

from snapshotter.service.protos import health_pb2 as pb
from snapshotter.service.protos import health_pb2_grpc
from snapshotter.service.protos.snapshots_pb2 import DESCRIPTOR

Context: TypeAlias = aio.ServicerContext[Any, Any]

SERVICES: Final = ("", DESCRIPTOR.services_by_name["Snapshots"].full_name)
"""What can be asked for: the server as a whole, and its one service."""


class Health(health_pb2_grpc.HealthServicer):
    """Health of all services at once: they are served, or none is yet."""

    def __init__(self) -> None:
        self._ready = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether the services answer."""
        return self._ready.is_set()

    def set_ready(self) -> None:
        """Say that the services answer from now on."""
        self._ready.set()

    async def Check(
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        """Return how a service is; NOT_FOUND for one that we don't have."""
        if request.service not in SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service[:64]!r}")
        return self._answer()

    async def Watch(
        self, request: pb.HealthCheckRequest, context: Context
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        """Stream how a service is, until the client hangs up."""
        if request.service not in SERVICES:
            yield pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVICE_UNKNOWN)
        else:
            yield self._answer()
            if not self.ready:
                await self._ready.wait()
                yield self._answer()
        await asyncio.Event().wait()

    def _answer(self) -> pb.HealthCheckResponse:
        known = pb.HealthCheckResponse
        return known(status=known.SERVING if self.ready else known.NOT_SERVING)
