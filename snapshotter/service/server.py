"""The service on its Unix socket."""

import logging
import socket
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from grpc import aio

from bootseer.errors import HostError, UsageError
from snapshotter.service.health import Health
from snapshotter.service.protos.health_pb2_grpc import add_HealthServicer_to_server
from snapshotter.service.protos.snapshots_pb2_grpc import add_SnapshotsServicer_to_server
from snapshotter.service.servicer import SnapshotsServicer
from snapshotter.snapshots.core import Snapshotter
from snapshotter.tracing.spans import OFF, Tracer

_log = logging.getLogger(__name__)

_ADDRESS: Final = 107
"""Longest path of a Unix socket, in bytes (unix(7))."""


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
        inode = await _listen(server, path)
        _log.info("snapshots service listens", extra={"fields": {"socket": str(path)}})
        try:
            yield health
        finally:
            _withdraw(path, inode)
    finally:
        await server.stop(grace)


async def _listen(server: aio.Server, path: Path) -> int:
    """Bind and start; return the socket's inode.

    The socket is made in a directory of our own and then moved: nobody can connect before its
    permissions are set, and at no time is there no socket when another server is replaced.
    """
    _check_free(path)
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as private:
        bound = Path(private) / "s"
        for address in (bound, path):
            if len(str(address).encode()) > _ADDRESS:
                raise UsageError(
                    f"socket path {str(path)!r} is too long", hint="choose a shorter directory"
                )
        server.add_insecure_port(f"unix:{bound}")
        await server.start()
        bound.chmod(0o600)
        inode = bound.stat().st_ino
        bound.rename(path)
    return inode


def _check_free(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise HostError(f"{path} exists and is no socket", hint="move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        with suppress(ConnectionRefusedError, FileNotFoundError):
            probe.connect(str(path))
            raise HostError(
                f"another server listens on {path}", hint="stop it, or choose another socket"
            )


def _withdraw(path: Path, inode: int) -> None:
    """Unlink the socket unless it is another's by now."""
    with suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()
