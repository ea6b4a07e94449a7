"""The service on its Unix socket."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from grpc import aio

from snapshotter.service.health import Health
from snapshotter.service.protos.health_pb2_grpc import add_HealthServicer_to_server
from snapshotter.service.protos.snapshots_pb2_grpc import add_SnapshotsServicer_to_server
from snapshotter.service.servicer import SnapshotsServicer
from snapshotter.service.unix_socket import listen, withdraw
from snapshotter.snapshots.core import Snapshotter
from snapshotter.tracing.spans import OFF, Tracer

_log = logging.getLogger(__name__)


@asynccontextmanager
async def serve(
    core: Snapshotter, path: Path, *, grace: float = 5.0, tracer: Tracer = OFF
) -> AsyncIterator[Health]:
    """Serve snapshots at a Unix socket that only we may connect to, until the block ends.

    Everything is UNAVAILABLE until `set_ready` is called on what is yielded. In the end calls
    under way have `grace` seconds to finish. A socket that nobody listens on any more is
    replaced; HostError if somebody does, or something else is at the path.
    """
    health = Health()
    server = aio.server()
    servicer = SnapshotsServicer(core, lambda: health.ready, tracer)
    add_SnapshotsServicer_to_server(servicer, server)
    add_HealthServicer_to_server(health, server)
    try:
        inode = await listen(server, path)
        _log.info("snapshots service listens", extra={"fields": {"socket": str(path)}})
        try:
            yield health
        finally:
            withdraw(path, inode)
    finally:
        await server.stop(grace)
