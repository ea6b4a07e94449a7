"""Image layers served lazily: what a Prepare with `containerd.io/snapshot.ref` does.

The traps of the remote-snapshotter contract, played by hand over the socket, with real mounts.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from benchmarks.lab.workdir import work_directory
from bootseer.errors import CorruptError, RemoteError
from snapshotter.service.protos import snapshots_pb2 as pb
from snapshotter.snapshots.core import Settings
from snapshotter.snapshots.lazy import Patience
from tests.integration.directory_layers import INODES, SIZE, DirectoryLayers
from tests.integration.mounting import mounted
from tests.integration.snapshot_client import Client, refused, served

pytestmark = pytest.mark.containers

REF = "containerd.io/snapshot.ref"


def digest(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def labels(chain: str, layer: str, **more: str) -> dict[str, str]:
    return {REF: digest(chain), "containerd.io/snapshot/cri.layer-digest": digest(layer), **more}


@pytest.fixture
def work() -> Iterator[Path]:
    with work_directory() as work:
        yield work


@pytest.fixture
def provider(work: Path) -> Iterator[DirectoryLayers]:
    trees = {}
    for name in ("one", "two", "same"):
        tree = work / "trees" / name
        tree.mkdir(parents=True)
        (tree / name).write_text(name)
        (tree / "who").write_text(name)
        trees[digest(name)] = tree
    provider = DirectoryLayers(work / "l", trees)
    yield provider
    provider.unmount_all()


QUICK = Settings(patience=Patience(provide=0.2, ensure=20, release=20))


@pytest.fixture
async def client(work: Path, provider: DirectoryLayers) -> AsyncIterator[Client]:
    async with served(work / "s", provider) as client:
        yield client


async def serve(client: Client, key: str, chain: str, layer: str, parent: str = "") -> str:
    """Prepare as containerd's unpacker does, and return the name of the snapshot it then finds."""
    async with refused(grpc.StatusCode.ALREADY_EXISTS):
        await client.prepare(key, parent, labels(chain, layer))
    # containerd's own filter, quotes and all.
    found = await client.list(f'labels."{REF}"=={digest(chain)},parent=="{parent}"')
    committed = [info.name for info in found.values() if info.kind == pb.COMMITTED]
    assert committed
    return committed[0]


async def settled(provider: DirectoryLayers, count: int) -> None:
    """Wait until so many layers were released."""
    while len(provider.released) < count:
        await asyncio.sleep(0.01)


async def test_a_served_layer_is_committed_under_its_chain_id(
    client: Client, provider: DirectoryLayers
) -> None:
    assert await serve(client, "ns/1/extract-1 a", "a", "one") == digest("a")
    info = await client.stat(digest("a"))
    assert (info.kind, info.parent) == (pb.COMMITTED, "")
    assert info.labels == labels("a", "one")
    assert await client.usage(digest("a")) == (SIZE, INODES)
    assert list(await client.list()) == [digest("a")]
    (request,) = provider.requests
    assert request.bottom
    assert request.chain_id == digest("a")
    assert request.layer_digest == digest("one")


async def test_containers_see_all_layers_through_overlay_and_can_write(
    client: Client, work: Path
) -> None:
    below = await serve(client, "ns/1/x", "a", "one")
    top = await serve(client, "ns/2/x", "b", "two", below)
    with mounted(await client.prepare("ns/3/c", top), work / "m") as tree:
        assert sorted(path.name for path in tree.iterdir()) == ["one", "two", "who"]
        assert (tree / "who").read_text() == "two"
        (tree / "who").write_text("me")
    with mounted(await client.view("ns/4/v", top), work / "m") as tree:
        assert (tree / "who").read_text() == "two"
    with mounted(await client.view("ns/5/v", below), work / "m") as tree:
        assert (tree / "who").read_text() == "one"


async def test_the_parents_chain_id_is_known_to_the_provider(
    client: Client, provider: DirectoryLayers
) -> None:
    below = await serve(client, "ns/1/x", "a", "one")
    await serve(client, "ns/2/x", "b", "two", below)
    request = provider.requests[1]
    assert not request.bottom
    assert request.parent_chain == digest("a")


async def test_a_second_namespace_gets_the_same_snapshot(
    client: Client, provider: DirectoryLayers
) -> None:
    assert await serve(client, "ns1/1/x", "a", "one") == digest("a")
    assert await serve(client, "ns2/1/x", "a", "one") == digest("a")
    assert list(await client.list()) == [digest("a")]
    assert len(provider.requests) == 1


async def test_the_same_chain_over_another_parent_is_found_by_that_parent(
    client: Client, work: Path
) -> None:
    """One namespace has the lower layer lazily, the other had to unpack it."""
    await client.prepare("ns2/1/x", "", labels("a", "unknown"))
    unpacked = f"ns2/2/{digest('a')}"
    await client.commit(unpacked, "ns2/1/x", {REF: digest("a")})
    await serve(client, "ns1/1/x", "a", "one")
    lazy = digest("a")
    first = await serve(client, "ns1/3/x", "b", "two", lazy)
    second = await serve(client, "ns2/3/x", "b", "two", unpacked)
    third = await serve(client, "ns3/3/x", "b", "two", unpacked)
    assert first == digest("b")
    assert second != first
    assert third == second
    assert (await client.stat(second)).labels[REF] == digest("b")
    with mounted(await client.prepare("ns2/4/c", second), work / "m") as tree:
        assert sorted(path.name for path in tree.iterdir()) == ["two", "who"]


async def test_the_same_layer_twice_in_one_image_mounts(client: Client, work: Path) -> None:
    """Overlayfs refuses one directory twice."""
    one = await serve(client, "ns/1/x", "a", "same")
    two = await serve(client, "ns/2/x", "b", "two", one)
    three = await serve(client, "ns/3/x", "c", "same", two)
    with mounted(await client.view("ns/4/v", three), work / "m") as tree:
        assert (tree / "who").read_text() == "same"
        assert sorted(path.name for path in tree.iterdir()) == ["same", "two", "who"]
    four = await serve(client, "ns/5/x", "d", "same", three)
    five = await serve(client, "ns/6/x", "e", "same", four)
    with mounted(await client.prepare("ns/7/c", five), work / "m") as tree:
        assert (tree / "who").read_text() == "same"


async def test_the_same_chain_prepared_at_once_asks_the_provider_once(
    client: Client, provider: DirectoryLayers
) -> None:
    async def one(number: int) -> None:
        await serve(client, f"ns/{number}/x", "a", "one")

    await asyncio.gather(*map(one, range(10)))
    assert len(provider.requests) == 1
    assert list(await client.list()) == [digest("a")]


async def test_a_layer_the_provider_does_not_know_is_unpacked(
    client: Client, provider: DirectoryLayers
) -> None:
    assert await client.prepare("ns/1/x", "", labels("a", "unknown"))
    assert len(provider.requests) == 1
    await client.commit("ns/2/a", "ns/1/x", labels("a", "unknown"))
    assert (await client.stat("ns/2/a")).kind == pb.COMMITTED


@pytest.mark.parametrize(
    "failure", [RemoteError("registry is down"), CorruptError("bad index"), KeyError("a bug")]
)
async def test_a_provider_that_fails_is_warned_of_and_the_layer_unpacked(
    client: Client,
    provider: DirectoryLayers,
    failure: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.failure = failure
    with caplog.at_level(logging.WARNING):
        assert await client.prepare("ns/1/x", "", labels("a", "one"))
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert [r.message for r in warnings] == ["layer not served lazily, containerd unpacks it"]
    provider.failure = None
    await client.remove("ns/1/x")
    assert await serve(client, "ns/2/x", "a", "one") == digest("a")


async def test_a_provider_that_hangs_is_given_up_on(
    work: Path, provider: DirectoryLayers, caplog: pytest.LogCaptureFixture
) -> None:
    provider.hang = True
    async with served(work / "s", provider, QUICK) as client:
        assert await client.prepare("ns/1/x", "", labels("a", "one"))
    assert "not ready within 0.2 s" in str(vars(caplog.records[-1]))


async def test_a_caller_that_hangs_up_leaves_nothing_behind(
    client: Client, provider: DirectoryLayers
) -> None:
    provider.hang = True
    call = asyncio.create_task(client.prepare("ns/1/x", "", labels("a", "one")))
    while not provider.requests:
        await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    provider.hang = False
    assert await client.list() == {}
    assert await serve(client, "ns/2/x", "a", "one") == digest("a")


async def test_a_layer_is_released_when_its_last_snapshot_is_removed(
    client: Client, provider: DirectoryLayers
) -> None:
    one = await serve(client, "ns/1/x", "a", "same")
    two = await serve(client, "ns/2/x", "b", "same", one)
    assert len(provider.mounted()) == 1
    await client.remove(two)
    assert await serve(client, "ns/3/x", "c", "one", one)
    await client.remove(digest("c"))
    await settled(provider, 1)
    assert len(provider.mounted()) == 1
    await client.remove(one)
    await settled(provider, 2)
    assert len(set(provider.released)) == 2


async def test_a_layer_asked_for_while_it_is_removed_stays_mounted(
    client: Client, provider: DirectoryLayers, work: Path
) -> None:
    for number in range(20):
        name = await serve(client, f"ns/{number}/x", "a", "one")
        await asyncio.gather(
            client.remove(name),
            client.prepare(f"ns/{number}/y", "", labels("a2", "one")),
            return_exceptions=True,
        )
        with mounted(await client.view(f"ns/{number}/v", digest("a2")), work / "m") as tree:
            assert (tree / "who").read_text() == "one"
        await client.remove(f"ns/{number}/v")
        await client.remove(digest("a2"))


async def test_mounts_are_there_again_after_a_restart(
    work: Path, provider: DirectoryLayers
) -> None:
    async with served(work / "s", provider) as client:
        below = await serve(client, "ns/1/x", "a", "one")
        top = await serve(client, "ns/2/x", "b", "two", below)
        before = await client.prepare("ns/3/c", top)
    provider.unmount_all()
    async with served(work / "s", provider) as client:
        after = await client.mounts("ns/3/c")
        assert after == before
        assert len(provider.mounted()) == 2
        with mounted(after, work / "m") as tree:
            assert (tree / "who").read_text() == "two"


async def test_mounts_of_a_layer_that_cannot_be_mounted_are_unavailable(
    client: Client, provider: DirectoryLayers
) -> None:
    below = await serve(client, "ns/1/x", "a", "one")
    await client.prepare("ns/2/c", below)
    provider.broken = RemoteError("no network")
    async with refused(grpc.StatusCode.UNAVAILABLE, "no network"):
        await client.mounts("ns/2/c")
    async with refused(grpc.StatusCode.UNAVAILABLE, "no network"):
        await client.prepare("ns/3/c", below)
    assert sorted(await client.list()) == ["ns/2/c", below]


async def test_a_served_layer_that_broke_is_unpacked_by_the_next_pull(
    client: Client, provider: DirectoryLayers
) -> None:
    await serve(client, "ns1/1/x", "a", "one")
    provider.broken = RemoteError("lost")
    assert await client.prepare("ns2/1/x", "", labels("a", "one"))


async def test_lazy_layers_without_a_provider_are_refused_with_a_hint(
    work: Path, provider: DirectoryLayers
) -> None:
    async with served(work / "s", provider) as client:
        below = await serve(client, "ns/1/x", "a", "one")
    async with served(work / "s") as client:
        async with refused(grpc.StatusCode.INTERNAL, "switched off"):
            await client.prepare("ns/2/c", below)
        await client.remove(below)


async def test_parallel_unpacking_is_left_to_containerd(
    client: Client, provider: DirectoryLayers
) -> None:
    """It gives no parent, which it would not find by its filter later."""
    parent = {"containerd.io/snapshot/parent-chain-id": digest("a")}
    assert await client.prepare("ns/1/x", "", labels("b", "two") | parent)
    assert provider.requests == []


async def test_a_key_in_use_is_refused_before_the_provider_is_asked(
    client: Client, provider: DirectoryLayers
) -> None:
    await client.prepare("ns/1/x")
    async with refused(grpc.StatusCode.ALREADY_EXISTS):
        await client.prepare("ns/1/x", "", labels("a", "one"))
    assert provider.requests == []
    async with refused(grpc.StatusCode.NOT_FOUND):
        await client.prepare("ns/2/x", "gone", labels("a", "one"))
    assert provider.requests == []


async def test_staged_layers_are_read_only_and_committed_with_a_parent(
    work: Path, provider: DirectoryLayers
) -> None:
    async with served(work / "s", provider, Settings(staged=True)) as client:
        parent = {"containerd.io/snapshot/parent-chain-id": digest("a")}
        top = await client.prepare("ns/2/x", "", labels("b", "two") | parent)
        bottom = await client.prepare("ns/1/x", "", labels("a", "one"))
        for mounts in (top, bottom):
            assert mounts[-1][0] == "bind"
            assert "ro" in mounts[-1][2]
        assert await client.mounts("ns/1/x") == bottom
        await client.commit("ns/3/a", "ns/1/x", labels("a", "one"))
        await client.commit("ns/4/b", "ns/2/x", labels("b", "two"), parent="ns/3/a")
        assert (await client.stat("ns/4/b")).parent == "ns/3/a"
        assert await client.usage("ns/4/b") == (SIZE, INODES)
        with mounted(await client.prepare("ns/5/c", "ns/4/b"), work / "m") as tree:
            assert (tree / "who").read_text() == "two"
            assert (tree / "one").read_text() == "one"
