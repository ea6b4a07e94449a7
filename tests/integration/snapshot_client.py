"""A client of the snapshots service that speaks in plain values."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import aio

from snapshotter.service.protos import snapshots_pb2 as pb
from snapshotter.service.protos.snapshots_pb2_grpc import SnapshotsStub
from snapshotter.service.server import serve
from snapshotter.snapshots.core import Settings, Snapshotter
from snapshotter.snapshots.ports import LayerProvider

if TYPE_CHECKING:
    from snapshotter.service.protos.snapshots_pb2_grpc import SnapshotsAsyncStub

Mounts = list[tuple[str, str, tuple[str, ...]]]

_DEADLINE = 60


class Client:
    """All calls for one plugin name."""

    def __init__(self, channel: aio.Channel, snapshotter: str = "testsuite") -> None:
        self.stub: SnapshotsAsyncStub = SnapshotsStub(channel)
        self.snapshotter = snapshotter

    async def prepare(
        self, key: str, parent: str = "", labels: Mapping[str, str] | None = None
    ) -> Mounts:
        request = pb.PrepareSnapshotRequest(
            snapshotter=self.snapshotter, key=key, parent=parent, labels=labels
        )
        return _plain((await self.stub.Prepare(request, timeout=_DEADLINE)).mounts)

    async def view(
        self, key: str, parent: str = "", labels: Mapping[str, str] | None = None
    ) -> Mounts:
        request = pb.ViewSnapshotRequest(
            snapshotter=self.snapshotter, key=key, parent=parent, labels=labels
        )
        return _plain((await self.stub.View(request, timeout=_DEADLINE)).mounts)

    async def mounts(self, key: str) -> Mounts:
        request = pb.MountsRequest(snapshotter=self.snapshotter, key=key)
        return _plain((await self.stub.Mounts(request, timeout=_DEADLINE)).mounts)

    async def commit(
        self, name: str, key: str, labels: Mapping[str, str] | None = None, parent: str = ""
    ) -> None:
        request = pb.CommitSnapshotRequest(
            snapshotter=self.snapshotter, name=name, key=key, labels=labels, parent=parent
        )
        await self.stub.Commit(request, timeout=_DEADLINE)

    async def remove(self, key: str) -> None:
        request = pb.RemoveSnapshotRequest(snapshotter=self.snapshotter, key=key)
        await self.stub.Remove(request, timeout=_DEADLINE)

    async def stat(self, key: str) -> pb.Info:
        request = pb.StatSnapshotRequest(snapshotter=self.snapshotter, key=key)
        return (await self.stub.Stat(request, timeout=_DEADLINE)).info

    async def update(self, info: pb.Info, *fields: str) -> pb.Info:
        request = pb.UpdateSnapshotRequest(
            snapshotter=self.snapshotter, info=info, update_mask=FieldMask(paths=fields)
        )
        return (await self.stub.Update(request, timeout=_DEADLINE)).info

    async def messages(self, *filters: str) -> list[pb.ListSnapshotsResponse]:
        request = pb.ListSnapshotsRequest(snapshotter=self.snapshotter, filters=filters)
        return [message async for message in self.stub.List(request, timeout=_DEADLINE)]

    async def list(self, *filters: str) -> dict[str, pb.Info]:
        messages = await self.messages(*filters)
        return {info.name: info for message in messages for info in message.info}

    async def usage(self, key: str) -> tuple[int, int]:
        request = pb.UsageRequest(snapshotter=self.snapshotter, key=key)
        found = await self.stub.Usage(request, timeout=_DEADLINE)
        return found.size, found.inodes

    async def cleanup(self) -> None:
        request = pb.CleanupRequest(snapshotter=self.snapshotter)
        await self.stub.Cleanup(request, timeout=_DEADLINE)


@asynccontextmanager
async def refused(code: grpc.StatusCode, text: str = "") -> AsyncIterator[None]:
    """The block must fail with this status."""
    with pytest.raises(aio.AioRpcError) as caught:
        yield
    assert caught.value.code() is code
    assert text in (caught.value.details() or "")


@asynccontextmanager
async def served(
    root: Path, provider: LayerProvider | None = None, settings: Settings | None = None
) -> AsyncIterator[Client]:
    """Run a server over `root` in this process and connect to its socket."""
    path = root.parent / f"{root.name}.sock"
    core = await Snapshotter.open(root, provider, settings)
    try:
        async with serve(core, path) as health, aio.insecure_channel(f"unix:{path}") as channel:
            health.set_ready()
            yield Client(channel)
    finally:
        await core.close()


def _plain(mounts: Sequence[object]) -> Mounts:
    return [(m.type, m.source, tuple(m.options)) for m in mounts]  # type: ignore[attr-defined]
