"""Hundreds of pulls and removals at once, calls repeated and out of order: nothing is left."""

import asyncio
import hashlib
import os
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import grpc
import pytest
from grpc import aio
from small_image import manifest_digest
from snapshot_client import Client
from trouble_image import TroubleImage, publish_indexes, trouble_image
from whole import Bootseer, Whole, bootseer, wait_for, whole

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers

PULLS = 300
AT_ONCE = 40
POOLS = 2 * (os.cpu_count() or 1) + 8
"""How many threads the server's pools may still grow by: they start one when none is idle, up to
their bound. A thread lost with each pull would be `PULLS`."""
REF = "containerd.io/snapshot.ref"
CRI = "containerd.io/snapshot/cri."


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    quiet = "hot: {record: never, prefetch: false}\n"
    with work_directory() as directory, whole(directory, quiet) as made:
        yield made


@pytest.fixture(scope="module")
def images(node: Whole) -> list[TroubleImage]:
    made = [trouble_image(node, f"many{number}", megabytes=1) for number in range(3)]
    for image in made:
        publish_indexes(node, image)
    return made


@asynccontextmanager
async def client_of(node: Whole, plugin: str) -> AsyncIterator[Client]:
    async with aio.insecure_channel(f"unix:{node.daemon.address}") as channel:
        yield Client(channel, plugin)


def chain_of(image: TroubleImage, salt: str) -> list[str]:
    """Return chain IDs that belong to one puller alone."""
    return [
        f"sha256:{hashlib.sha256(f'{salt}{layer}'.encode()).hexdigest()}" for layer in image.layers
    ]


def labels(image: TroubleImage, manifest: str, layer: str, chain: str) -> Mapping[str, str]:
    return {
        REF: chain,
        f"{CRI}image-ref": image.reference,
        f"{CRI}manifest-digest": manifest,
        f"{CRI}layer-digest": layer,
    }


async def pull(client: Client, image: TroubleImage, manifest: str, salt: str) -> str:
    """Ask for all layers as containerd does; return the name of the topmost."""
    parent = ""
    for layer, chain in zip(image.layers, chain_of(image, salt), strict=True):
        asked = labels(image, manifest, layer, chain)
        with pytest.raises(aio.AioRpcError) as told:
            await client.prepare(f"extract-{salt}-{chain}", parent, asked)
        assert told.value.code() is grpc.StatusCode.ALREADY_EXISTS, told.value.details()
        parent = chain
    return parent


async def pull_use_remove(client: Client, image: TroubleImage, manifest: str, salt: str) -> None:
    top = await pull(client, image, manifest, salt)
    await client.prepare(f"container-{salt}", top)
    await client.mounts(f"container-{salt}")
    await client.remove(f"container-{salt}")
    for chain in reversed(chain_of(image, salt)):
        await client.remove(chain)


def held(daemon: Bootseer) -> tuple[int, int, int]:
    """Return what the server has open, how many threads it has, and how much is mounted."""
    process = Path(f"/proc/{daemon.server_pid()}")
    opened = len(list((process / "fd").iterdir()))
    return opened, len(list((process / "task").iterdir())), len(daemon.mounts())


def rows(daemon: Bootseer) -> int:
    with closing(sqlite3.connect(daemon.root / "snapshots.db")) as database:
        tables = ("snapshots", "labels", "stand_ins")
        return sum(database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables)


def test_hundreds_of_pulls_and_removals_at_once_leave_nothing(
    node: Whole, images: list[TroubleImage]
) -> None:
    manifests = [manifest_digest(image.reference) for image in images]

    async def all_pulls(count: int) -> None:
        places = asyncio.Semaphore(AT_ONCE)
        async with client_of(node, "many") as client:

            async def one(number: int) -> None:
                which = number % len(images)
                async with places:
                    await pull_use_remove(client, images[which], manifests[which], f"p{number}")

            async with asyncio.TaskGroup() as group:
                for number in range(count):
                    group.create_task(one(number))
            await client.cleanup()
            assert await client.list() == {}

    def settled() -> bool:
        return len(node.daemon.mounts()) == 1 and not node.daemon.status()["layers"]

    asyncio.run(all_pulls(AT_ONCE))
    wait_for(settled, "the first to be gone", 60)
    before = held(node.daemon)
    asyncio.run(all_pulls(PULLS))
    wait_for(settled, "everything to be unmounted and closed", 60)
    after = held(node.daemon)
    assert after[0] <= before[0] + 4, "descriptors"
    assert after[1] <= before[1] + POOLS, "threads"
    assert after[2] == 1
    assert rows(node.daemon) == 0
    assert list((node.daemon.root / "snapshots").iterdir()) == []
    assert len(list((node.daemon.root / "l").iterdir())) <= sum(len(i.layers) for i in images)
    assert " bug" not in node.daemon.log()
    wait_for(lambda: _collected(node), "the cache to be emptied", 30)


def _collected(node: Whole) -> bool:
    bootseer("gc", "--config", str(node.daemon.config))
    return list((node.daemon.root / "l").iterdir()) == []


def test_calls_that_are_repeated_at_once_and_out_of_order_have_one_outcome(
    node: Whole, images: list[TroubleImage]
) -> None:
    image, chance = images[0], random.Random(3)
    manifest = manifest_digest(image.reference)
    bottom, top = chain_of(image, "disorder")

    async def disorder() -> None:
        async with client_of(node, "disorder") as client:

            async def calls() -> None:
                steps = [
                    client.prepare("early", top),
                    client.commit("done", "early"),
                    client.remove(bottom),
                    client.remove(top),
                    client.remove("early"),
                    client.stat(top),
                    client.cleanup(),
                    client.list(),
                    pull(client, image, manifest, "disorder"),
                    pull(client, image, manifest, "disorder"),
                ]
                chance.shuffle(steps)
                for step in steps:
                    with suppress(aio.AioRpcError, AssertionError):
                        await step

            await asyncio.gather(*(calls() for _ in range(20)))
            found = await client.list()
            assert found.keys() <= {bottom, top, "early", "done"}
            assert all(not info.parent or info.parent in found for info in found.values())
            for name in ("early", "done", top, bottom):
                with suppress(aio.AioRpcError):
                    await client.remove(name)
            assert await client.list() == {}
            await pull_use_remove(client, image, manifest, "disorder")

    asyncio.run(disorder())
    wait_for(lambda: len(node.daemon.mounts()) == 1, "everything to be unmounted")
