"""The service on its socket: who may connect, what a stale socket does, readiness, stopping."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from bootseer.errors import HostError, UsageError
from snapshotter.service.protos import health_pb2
from snapshotter.service.protos import snapshots_pb2 as pb
from snapshotter.service.protos.health_pb2_grpc import HealthStub
from snapshotter.service.protos.snapshots_pb2_grpc import SnapshotsStub
from snapshotter.service.server import serve
from snapshotter.snapshots.core import Snapshotter

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Snapshotter]:
    core = await Snapshotter.open(tmp_path / "r")
    yield core
    await core.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sock"


def channel(path: Path) -> aio.Channel:
    return aio.insecure_channel(f"unix:{path}")


async def next_status(watch: Any) -> object:
    return (await watch.read()).status


async def code_of(call: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_only_the_owner_may_connect_and_nothing_else_is_left(
    core: Snapshotter, path: Path
) -> None:
    before = set(path.parent.iterdir())
    async with serve(core, path):
        mode = path.lstat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert set(path.parent.iterdir()) == {*before, path}
    assert set(path.parent.iterdir()) == before


async def test_a_socket_nobody_listens_on_is_replaced(core: Snapshotter, path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    async with serve(core, path) as health, channel(path) as client:
        health.set_ready()
        await SnapshotsStub(client).Cleanup(pb.CleanupRequest())


async def test_a_socket_in_use_is_left_alone(core: Snapshotter, path: Path) -> None:
    async with serve(core, path) as health, channel(path) as client:
        health.set_ready()
        with pytest.raises(HostError, match="another server"):
            async with serve(core, path):
                pass
        await SnapshotsStub(client).Cleanup(pb.CleanupRequest())


async def test_another_file_at_the_path_is_left_alone(core: Snapshotter, path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(HostError, match="no socket"):
        async with serve(core, path):
            pass
    assert path.read_text() == "mine"


async def test_a_path_too_long_for_a_socket_is_refused(core: Snapshotter, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        async with serve(core, tmp_path / ("n" * 120)):
            pass


async def test_everything_is_unavailable_until_ready(core: Snapshotter, path: Path) -> None:
    async with serve(core, path) as health, channel(path) as client:
        stub = SnapshotsStub(client)
        assert await code_of(stub.Stat(pb.StatSnapshotRequest(key="x"))) is (
            grpc.StatusCode.UNAVAILABLE
        )
        health.set_ready()
        assert await code_of(stub.Stat(pb.StatSnapshotRequest(key="x"))) is (
            grpc.StatusCode.NOT_FOUND
        )


async def test_health_follows_readiness(core: Snapshotter, path: Path) -> None:
    async with serve(core, path) as health, channel(path) as client:
        stub = HealthStub(client)
        name = "containerd.services.snapshots.v1.Snapshots"
        request = health_pb2.HealthCheckRequest(service=name)
        watch = stub.Watch(request)
        assert await next_status(watch) == NOT_SERVING
        assert (await stub.Check(request)).status == NOT_SERVING
        health.set_ready()
        assert await next_status(watch) == SERVING
        assert (await stub.Check(request)).status == SERVING
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING
        unknown = health_pb2.HealthCheckRequest(service="other")
        assert await code_of(stub.Check(unknown)) is grpc.StatusCode.NOT_FOUND
        answer = await next_status(stub.Watch(unknown))
        assert answer == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()


async def test_stopping_does_not_wait_longer_than_its_grace(core: Snapshotter, path: Path) -> None:
    async with channel(path) as client:
        async with asyncio.timeout(30):
            async with serve(core, path, grace=0.1):
                watch = HealthStub(client).Watch(health_pb2.HealthCheckRequest())
                await watch.read()
        assert await watch.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_a_successor_takes_the_path_over_and_keeps_it(core: Snapshotter, path: Path) -> None:
    first = serve(core, path)
    await first.__aenter__()
    path.unlink()
    async with serve(core, path) as health, channel(path) as client:
        await first.__aexit__(None, None, None)
        health.set_ready()
        await SnapshotsStub(client).Cleanup(pb.CleanupRequest())


async def test_an_update_without_a_snapshot_is_an_invalid_argument(
    core: Snapshotter, path: Path
) -> None:
    async with serve(core, path) as health, channel(path) as client:
        health.set_ready()
        stub = SnapshotsStub(client)
        call = stub.Update(pb.UpdateSnapshotRequest(snapshotter="x"))
        assert await code_of(call) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_list_before_the_first_prepare_is_empty(core: Snapshotter, path: Path) -> None:
    async with serve(core, path) as health, channel(path) as client:
        health.set_ready()
        call = SnapshotsStub(client).List(pb.ListSnapshotsRequest(snapshotter="x"))
        assert [message async for message in call] == []


async def test_a_malformed_filter_is_an_invalid_argument(core: Snapshotter, path: Path) -> None:
    async with serve(core, path) as health, channel(path) as client:
        health.set_ready()
        call = SnapshotsStub(client).List(pb.ListSnapshotsRequest(filters=["name=="]))
        with pytest.raises(aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_bug_is_internal_and_logged(
    core: Snapshotter, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(core, "stat", fail)
    async with serve(core, path) as health, channel(path) as client:
        health.set_ready()
        call = SnapshotsStub(client).Stat(pb.StatSnapshotRequest(key="x"))
        assert await code_of(call) is grpc.StatusCode.INTERNAL
    assert "snapshots call failed" in [record.message for record in caplog.records]
