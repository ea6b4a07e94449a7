"""A server killed with SIGKILL at any moment: what it answered stays true, the next one works."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from grpc import aio

from snapshotter.service.protos import snapshots_pb2 as pb
from tests.integration.snapshot_client import Client

pytestmark = pytest.mark.containers

REPOSITORY = Path(__file__).resolve().parents[2]


class Told:
    """What the client was told so far: snapshots that must exist, and those that must not."""

    def __init__(self) -> None:
        self.there: dict[str, pb.Kind.ValueType] = {}
        self.gone: set[str] = set()
        self.unsure: set[str] = set()

    @asynccontextmanager
    async def unsure_about(self, *names: str) -> AsyncIterator[None]:
        """Without an answer to the call in the block, nothing is known of these names."""
        self.unsure |= set(names)
        yield
        self.unsure -= set(names)


async def work(client: Client, told: Told, lane: str) -> None:
    """Prepare, commit, build on top, remove, in a lane of names of our own, until it breaks."""
    parent = ""
    for number in range(10_000):
        active, name = f"{lane}-a{number}", f"{lane}-c{number}"
        async with told.unsure_about(active):
            await client.prepare(active, parent, {"lane": lane})
            told.there[active] = pb.ACTIVE
        async with told.unsure_about(active, name):
            await client.commit(name, active, {"lane": lane})
            told.there[name] = pb.COMMITTED
            told.there.pop(active)
            told.gone.add(active)
        if number % 3 == 2:
            async with told.unsure_about(name):
                await client.remove(name)
                told.there.pop(name)
                told.gone.add(name)
            await client.cleanup()
        else:
            parent = name


async def start(root: Path, path: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.snapshot_server", root, path, cwd=REPOSITORY
    )


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Client]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(f"unix:{path}", options=options) as channel:
        client = Client(channel)
        async with asyncio.timeout(60):
            while True:
                with suppress(aio.AioRpcError):
                    await client.list()
                    break
                await asyncio.sleep(0.02)
        yield client


async def check(client: Client, told: Told, root: Path) -> None:
    found = await client.list()
    for name, kind in told.there.items():
        if name not in told.unsure:
            assert found[name].kind == kind
    assert not found.keys() & (told.gone - told.unsure)
    # Nothing is known of these; from now on, what the server says.
    for name in told.unsure:
        told.there.pop(name, None)
        told.gone.discard(name)
        if name in found:
            told.there[name] = found[name].kind
    told.unsure.clear()
    assert found.keys() == told.there.keys()
    for name in found:
        if found[name].kind == pb.ACTIVE:
            await client.mounts(name)
            await client.commit(f"{name}-late", name)
            told.there[f"{name}-late"] = pb.COMMITTED
            told.there.pop(name)
    trees = list((root / "snapshots").glob("[0-9]*/fs"))
    assert len(trees) >= len(found)
    await client.cleanup()
    assert len(list((root / "snapshots").iterdir())) == len(found)


async def test_what_was_answered_survives_and_the_next_server_works(tmp_path: Path) -> None:
    root, path = tmp_path / "r", tmp_path / "s.sock"
    told, chance = Told(), random.Random(7)
    for generation in range(8):
        server = await start(root, path)
        try:
            async with connected(path) as client:
                await client.prepare(f"first-{generation}")  # without a cleanup before
                told.there[f"first-{generation}"] = pb.ACTIVE
                await client.view(f"look-{generation}")
                told.there[f"look-{generation}"] = pb.VIEW
                await check(client, told, root)
                lanes = [
                    asyncio.create_task(work(client, told, f"g{generation}l{number}"))
                    for number in range(4)
                ]
                await asyncio.sleep(chance.uniform(0.05, 0.6))
                server.kill()
                broken = await asyncio.gather(*lanes, return_exceptions=True)
                assert all(isinstance(error, aio.AioRpcError) for error in broken)
        finally:
            with suppress(ProcessLookupError):
                server.kill()
            await server.wait()
