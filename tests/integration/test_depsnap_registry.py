"""Snapshots in a real registry, one that lists referrers by a tag."""

import asyncio
import json
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from depsnap_world import StepWorld, make_step_world

from bootseer.config import Registry
from bootseer.digests import digest_of
from bootseer.errors import NotFoundError, RemoteError, UsageError
from depsnap.registry.store import RegistryBlobs, open_registry
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference
from snapshotter.registry.settings import ClientSettings
from tests.registry_fixture import RunningRegistry, running_registry

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    async with RegistryClient(replace(ClientSettings(), settle=0.05)) as opened:
        yield opened


@pytest.fixture
def store(client: RegistryClient, registry: RunningRegistry, tmp_path: Path) -> RegistryBlobs:
    """An empty store."""
    repository = digest_of(str(tmp_path).encode())[-12:]
    return RegistryBlobs(client, parse_reference(f"{registry.host}/deps-{repository}"))


@pytest.fixture
def world(tmp_path: Path) -> StepWorld:
    return make_step_world(tmp_path)


def test_a_snapshot_in_a_registry_is_kept_restored_verified_and_removed(
    world: StepWorld, registry: RunningRegistry
) -> None:
    store = ("--store", f"oci://{registry.host}/team/deps")
    first = world.step(*store)
    assert "kept" in first.stderr, first.stderr
    made = (world.root / "package/large").read_bytes()
    world.fresh()
    second = world.step(*store, "--require-snapshot")
    assert second.returncode == 0, second.stderr
    assert (world.root / "package/large").read_bytes() == made
    assert world.runs() == 1
    (listed,) = json.loads(world.deps("ls", "--json", *store).stdout)
    assert listed["name"] == "job"
    assert "1 snapshots, 0 damaged" in world.deps("verify", "job", *store).stdout
    refused = world.deps("rm", "job", *store)
    assert refused.returncode == 4
    assert "405" in refused.stderr


def test_where_a_registry_allows_it_a_snapshot_is_removed_and_made_anew(
    world: StepWorld, tmp_path: Path
) -> None:
    with running_registry(tmp_path / "registry", deletes=True) as registry:
        store = ("--store", f"oci://{registry.host}/deps")
        assert "kept" in world.step(*store).stderr
        assert world.deps("rm", "job", *store).returncode == 0
        assert json.loads(world.deps("ls", "--json", *store).stdout) == []
        world.fresh()
        again = world.step(*store)
        assert "kept" in again.stderr, again.stderr
        world.fresh()
        assert world.step(*store, "--require-snapshot").returncode == 0
        assert world.runs() == 2


def test_a_registry_that_is_away_costs_a_line_and_the_step_runs(world: StepWorld) -> None:
    done = world.step("--store", "oci://127.0.0.1:1/deps")
    assert done.returncode == 0
    assert "the store cannot be read" in done.stderr
    assert world.in_place()


async def test_who_looks_finds_objects_by_folder(store: RegistryBlobs) -> None:
    for name in ("snapshots/job/k1/000001", "snapshots/job/k2/000001", "hot/job/x"):
        assert await store.put(name, name.encode())
    assert not await store.put("hot/job/x", b"later")
    names = [one.name for one in await store.list("snapshots", 10)]
    assert names == ["snapshots/job/k1/000001", "snapshots/job/k2/000001"]
    assert [one.name for one in await store.list("hot/job", 10)] == ["hot/job/x"]
    assert await store.list("nothing", 10) == []
    assert await store.read("hot/job/x", 4, 3) == b"job"
    assert [piece async for piece in store.stream("hot/job/x", 4)] == [b"job/x"]
    assert await store.size("hot/job/y") is None
    with pytest.raises(NotFoundError):
        await store.read("hot/job/y", 0, 1)


async def test_packs_are_blobs_that_the_head_of_their_snapshot_keeps(
    store: RegistryBlobs, tmp_path: Path
) -> None:
    data = b"a pack" * 1000
    digest = digest_of(data).removeprefix("sha256:")
    (tmp_path / "pack").write_bytes(data)
    name = f"packs/{digest[:2]}/{digest}"
    assert await store.put(name, tmp_path / "pack")
    assert not await store.put(name, data)
    assert await store.read(name, 2, 4) == b"pack"
    assert await store.size(name) == len(data)
    assert await store.put("snapshots/job/k1/000001", b"head")
    (counts,) = await store._candidates("snapshots/job/k1")
    raw = await store._client.manifests.get(store._reference, counts.digest)
    layers = [layer["digest"] for layer in json.loads(raw.data)["layers"]]
    assert layers == [digest_of(b"head"), f"sha256:{digest}"]
    with pytest.raises(RemoteError):
        await store.delete(name)


async def test_of_two_who_publish_at_once_all_readers_see_the_same(
    store: RegistryBlobs, client: RegistryClient
) -> None:
    others = [RegistryBlobs(client, store._reference) for _ in range(3)]
    contents = [bytes([number]) * 100 for number in range(3)]
    name = "snapshots/job/k1/000001"

    async def publish(number: int) -> bool:
        return await others[number].put(name, contents[number])

    won = await asyncio.gather(*map(publish, range(3)))
    assert any(won)
    seen = {await other.read(name, 0, 100) for other in others}
    assert len(seen) == 1
    assert seen <= {content for content, first in zip(contents, won, strict=True) if first}
    assert not await store.put(name, b"late")


async def test_leases_are_not_kept(store: RegistryBlobs) -> None:
    assert await store.put("leases/job/k/000001", b"")
    assert await store.put("leases/job/k/000001", b"")
    assert await store.list("leases/job/k", 10) == []
    assert not await store.delete("leases/job/k/000001")


@pytest.mark.parametrize("address", ["oci://", "oci://h/a:tag", "oci://h/A", "oci:h/a"])
async def test_what_is_no_repository_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        async with open_registry(address, Registry()):
            pass


def test_two_creators_at_once_both_succeed(tmp_path: Path, registry: RunningRegistry) -> None:
    world = make_step_world(tmp_path)
    store = f"oci://{registry.host}/two/creators"
    slow = f"sleep 2; mkdir -p {world.root}/made; echo $$ > {world.root}/made/by"
    # Two nodes: each has a root of its own at the same path.
    code = "mount -t tmpfs none {root} && exec {command}"
    own = world.command("run", "--name", "job", "--root", str(world.root), "--store", store)
    command = shlex.join([*own, "--", "sh", "-c", slow])
    nodes = [
        subprocess.Popen(
            ["unshare", "-m", "sh", "-c", code.format(root=world.root, command=command)],
            cwd=world.home,
            env=world.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [node.communicate(timeout=120)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    for _ in range(2):
        world.fresh()
        done = world.deps(
            *("run", "--name", "job", "--root", str(world.root), "--store", store),
            *("--require-snapshot", "--", "sh", "-c", slow),
        )
        assert done.returncode == 0, done.stderr
        assert (world.root / "made/by").exists()
