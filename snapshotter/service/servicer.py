"""containerd's snapshots service: each call unpacks a message, calls the snapshotter, packs.

What the service adds is the translation of errors (`status`), and that nothing is answered but
UNAVAILABLE while the snapshotter is being restored after a start: NOT_FOUND would be a definite
answer, and containerd would act on it.

Namespaces don't matter: containerd's garbage collection comes without one.
"""

# ruff: noqa: N802 (methods are named as the service definition names them)

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc import aio

from bootseer.errors import RemoteError, UsageError
from snapshotter.service import messages
from snapshotter.service.protos import snapshots_pb2 as pb
from snapshotter.service.protos import snapshots_pb2_grpc
from snapshotter.service.status import status
from snapshotter.snapshots.core import Snapshotter
from snapshotter.snapshots.errors import ExistsError
from snapshotter.snapshots.labels import ABOUT
from snapshotter.tracing.spans import OFF, Tracer

_log = logging.getLogger(__name__)

Context: TypeAlias = aio.ServicerContext[Any, Any]

_DETAILS: Final = 1024
"""Characters of an error message that are sent; it travels in an HTTP header."""


class SnapshotsServicer(snapshots_pb2_grpc.SnapshotsServicer):
    """The service over one snapshotter. `ready` tells whether it may be asked."""

    def __init__(self, core: Snapshotter, ready: Callable[[], bool], tracer: Tracer = OFF) -> None:
        self._core = core
        self._ready = ready
        self._tracer = tracer

    async def Prepare(
        self, request: pb.PrepareSnapshotRequest, context: Context
    ) -> pb.PrepareSnapshotResponse:
        """Make an active snapshot."""
        about = {name: request.labels[label] for name, label in ABOUT if label in request.labels}
        async with self._call("Prepare", request.key, context, **about):
            mounts = await self._core.prepare(
                request.snapshotter, request.key, request.parent, request.labels
            )
        return pb.PrepareSnapshotResponse(mounts=messages.to_mounts(mounts))

    async def View(
        self, request: pb.ViewSnapshotRequest, context: Context
    ) -> pb.ViewSnapshotResponse:
        """Make a read-only snapshot."""
        async with self._call("View", request.key, context):
            mounts = await self._core.view(
                request.snapshotter, request.key, request.parent, request.labels
            )
        return pb.ViewSnapshotResponse(mounts=messages.to_mounts(mounts))

    async def Mounts(self, request: pb.MountsRequest, context: Context) -> pb.MountsResponse:
        """Return the mounts of an active snapshot or view."""
        async with self._call("Mounts", request.key, context):
            mounts = await self._core.mounts(request.snapshotter, request.key)
        return pb.MountsResponse(mounts=messages.to_mounts(mounts))

    async def Commit(self, request: pb.CommitSnapshotRequest, context: Context) -> Empty:
        """Turn an active snapshot into a committed one."""
        async with self._call("Commit", request.key, context):
            await self._core.commit(
                request.snapshotter, request.name, request.key, request.labels, request.parent
            )
        return Empty()

    async def Remove(self, request: pb.RemoveSnapshotRequest, context: Context) -> Empty:
        """Remove a snapshot."""
        async with self._call("Remove", request.key, context):
            await self._core.remove(request.snapshotter, request.key)
        return Empty()

    async def Stat(
        self, request: pb.StatSnapshotRequest, context: Context
    ) -> pb.StatSnapshotResponse:
        """Return what is known of a snapshot."""
        async with self._call("Stat", request.key, context):
            info = await self._core.stat(request.snapshotter, request.key)
        return pb.StatSnapshotResponse(info=messages.to_info(info))

    async def Update(
        self, request: pb.UpdateSnapshotRequest, context: Context
    ) -> pb.UpdateSnapshotResponse:
        """Change labels."""
        async with self._call("Update", request.info.name, context):
            if not request.HasField("info"):
                raise UsageError("an update without a snapshot", hint="set the field info")
            info = await self._core.update(
                request.snapshotter,
                request.info.name,
                request.info.labels,
                request.update_mask.paths,
            )
        return pb.UpdateSnapshotResponse(info=messages.to_info(info))

    async def List(
        self, request: pb.ListSnapshotsRequest, context: Context
    ) -> AsyncIterator[pb.ListSnapshotsResponse]:
        """Stream the snapshots that match."""
        async with self._call("List", "", context):
            infos = await self._core.select(request.snapshotter, request.filters)
        for message in messages.batches(infos):
            yield message

    async def Usage(self, request: pb.UsageRequest, context: Context) -> pb.UsageResponse:
        """Return what a snapshot takes on disk."""
        async with self._call("Usage", request.key, context):
            usage = await self._core.usage(request.snapshotter, request.key)
        return pb.UsageResponse(size=usage.size, inodes=usage.inodes)

    async def Cleanup(self, request: pb.CleanupRequest, context: Context) -> Empty:
        """Free what removed snapshots left on disk."""
        async with self._call("Cleanup", request.snapshotter, context):
            await self._core.cleanup()
        return Empty()

    @asynccontextmanager
    async def _call(
        self, method: str, key: str, context: Context, **about: str
    ) -> AsyncIterator[None]:
        """Turn what the block raises into the call's status. `about`: what its span says of it."""
        fields: dict[str, str] = {"method": method, "key": key}
        try:
            with self._tracer.span(f"snapshots.{method}", key=key, **about) as span:
                self._check_ready()
                try:
                    yield
                except ExistsError:  # that a layer is there is what containerd hopes for
                    span.note({"exists": True})
                    raise
        except Exception as error:  # noqa: BLE001 (nothing may leave without a status)
            code = status(error)
            if code is None:
                _log.exception("snapshots call failed", extra={"fields": fields})
                await context.abort(grpc.StatusCode.INTERNAL, f"{method}: internal error, see log")
            level = logging.ERROR if code is grpc.StatusCode.INTERNAL else logging.DEBUG
            fields |= {"status": code.name, "error": str(error)}
            _log.log(level, "snapshots call refused", extra={"fields": fields})
            await context.abort(code, str(error)[:_DETAILS])

    def _check_ready(self) -> None:
        if not self._ready():
            raise RemoteError("snapshots are being restored", hint="try again", temporary=True)
