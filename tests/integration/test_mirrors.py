"""Near before far, with the real things: nginx with our configuration, containerd's content store.

The client's own decisions about mirrors are in `tests/unit/registry/test_near_before_far.py`.
"""

import asyncio
import base64
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from content_store import ContentStore, content_store_mirror
from nginx_cache import NginxCache, nginx_cache
from trouble_image import SUMS, TroubleImage, publish_indexes, trouble_image
from whole import LocalRegistry, Whole, local_registry, node_of, wait_for

from benchmarks.lab.access_log import blob_bytes
from benchmarks.lab.service import Service
from benchmarks.lab.workdir import work_directory
from bootseer.digests import digest_of
from bootseer.errors import NotFoundError
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.hosts import HostsDirectory
from snapshotter.registry.logins.docker import DockerConfig
from snapshotter.registry.reference import Reference
from snapshotter.registry.settings import ClientSettings
from tests import hostile_registry as hostile
from tests.hostile_registry import QUICK, HostileRegistry, hostile_registry

SLICE = 1 << 20
"""As in the configuration."""
DATA = random.Random(1).randbytes(5 * SLICE + 12_345)


def ask_first(certs: Path, registry: str, mirror: str, *capabilities: str) -> None:
    """Write the `hosts.toml` that the documentation shows."""
    (certs / registry).mkdir(parents=True, exist_ok=True)
    (certs / registry / "hosts.toml").write_text(
        f'server = "http://{registry}"\n[host."http://{mirror}"]\n'
        f"  capabilities = {['pull', *capabilities]}\n"
        '  dial_timeout = "1s"\n'
    )


@dataclass
class Rack:
    """A registry, the cache before it, and how nodes are to use them."""

    registry: LocalRegistry
    cache: NginxCache
    settings: ClientSettings
    certs: Path

    @property
    def reference(self) -> Reference:
        return Reference(self.registry.host, "a/b", "1")

    async def fetched(self, digest: str, size: int) -> None:
        """Wait until the registry has logged that it sent so many bytes of a blob; never more."""

        def logged() -> bool:
            found = self.registry.bytes_of(digest)
            assert found <= size, "the registry was asked again"
            return found == size

        await asyncio.to_thread(wait_for, logged, f"{size} bytes in the registry's log")

    async def push(self, data: bytes) -> str:
        """Put a blob into the registry; return its digest."""
        async with RegistryClient(self.settings) as client:
            await client.uploads.put(self.reference, data, digest_of(data))
        return digest_of(data)


@pytest.fixture
def rack() -> Iterator[Rack]:
    with work_directory() as directory, local_registry(directory / "reg") as registry:
        cache = nginx_cache(directory / "nginx", registry.host)
        certs = directory / "certs.d"
        ask_first(certs, registry.host, cache.host)
        hosts = HostsDirectory(directories=(certs,))
        yield Rack(registry, cache, ClientSettings(hosts=hosts, endpoint_pause=0.2), certs)


@pytest.fixture
def nginx(rack: Rack) -> Iterator[Service]:
    with rack.cache.running() as running:
        yield running


async def check(client: RegistryClient, rack: Rack, offset: int, length: int) -> None:
    """Read a range of the data; fails unless it comes out right."""
    found = await client.blobs.read(rack.reference, digest_of(DATA), offset, length)
    assert found == DATA[offset : offset + length]


async def test_ranges_come_through_whole_and_the_next_node_has_them_from_the_cache(
    rack: Rack, nginx: Service
) -> None:
    digest = await rack.push(DATA)
    chance = random.Random(2)
    edges = [(0, 1), (SLICE - 3, 7), (SLICE, SLICE), (len(DATA) - 5, 5), (1000, 3 * SLICE)]
    offsets = [chance.randrange(len(DATA)) for _ in range(30)]
    ranges = edges + [(at, chance.randrange(1, len(DATA) - at + 1)) for at in offsets]
    async with RegistryClient(rack.settings) as first:
        await check(first, rack, 0, 100)
        await rack.fetched(digest, SLICE)  # a small read fetches one piece
        for offset, length in ranges:
            await check(first, rack, offset, length)
        await rack.fetched(digest, len(DATA))  # every piece once
    async with RegistryClient(rack.settings) as second:
        for offset, length in ranges:
            await check(second, rack, offset, length)
        assert await second.blobs.size(rack.reference, digest) == len(DATA)
        assert second.statistics.retries == 0
    await rack.fetched(digest, len(DATA))


async def test_a_pack_that_is_fetched_whole_is_there_for_ranges_too(
    rack: Rack, nginx: Service
) -> None:
    digest = await rack.push(DATA)
    async with RegistryClient(rack.settings) as client:
        pieces = [piece async for piece in client.blobs.stream(rack.reference, digest)]
        assert b"".join(pieces) == DATA
        resumed = client.blobs.stream(rack.reference, digest, 3 * SLICE + 5)
        assert b"".join([piece async for piece in resumed]) == DATA[3 * SLICE + 5 :]
        await check(client, rack, SLICE - 1, 2)
    await rack.fetched(digest, len(DATA))


async def test_nodes_that_start_at_once_have_a_piece_fetched_once(
    rack: Rack, nginx: Service
) -> None:
    digest = await rack.push(DATA)

    async def one(number: int) -> None:
        async with RegistryClient(rack.settings) as client:
            await check(client, rack, number * 1000, 100_000)

    await asyncio.gather(*(one(number) for number in range(30)))
    await rack.fetched(digest, SLICE)


async def test_what_the_registry_lacks_is_not_remembered_by_the_cache(
    rack: Rack, nginx: Service
) -> None:
    async with RegistryClient(rack.settings) as client:
        with pytest.raises(NotFoundError):
            await check(client, rack, 0, 1)
    digest = await rack.push(DATA)
    async with RegistryClient(rack.settings) as client:
        await check(client, rack, 0, 1)
    await rack.fetched(digest, SLICE)


async def test_no_read_fails_while_the_cache_dies_and_comes_back(rack: Rack) -> None:
    digest = await rack.push(DATA)
    reads = 0

    async def read_on(client: RegistryClient, chance: random.Random) -> None:
        nonlocal reads
        while True:
            offset = chance.randrange(len(DATA) - 200_000)
            await check(client, rack, offset, chance.randrange(1, 200_000))
            reads += 1

    async def stream_on(client: RegistryClient) -> None:
        while True:
            pieces = [piece async for piece in client.blobs.stream(rack.reference, digest)]
            assert b"".join(pieces) == DATA

    async def more(count: int) -> None:
        wanted = reads + count
        while reads < wanted:
            await asyncio.sleep(0.01)

    async with RegistryClient(rack.settings) as client, asyncio.TaskGroup() as group:
        with rack.cache.running() as nginx:
            readers = [group.create_task(read_on(client, random.Random(n))) for n in range(8)]
            readers += [group.create_task(stream_on(client)) for _ in range(2)]
            await more(50)
            os.killpg(nginx.process.pid, signal.SIGKILL)
            nginx.process.wait()
        asked = len(rack.cache.requests())
        await more(50)
        assert client.statistics.retries > 0
        with rack.cache.running():
            while len(rack.cache.requests()) < asked + 50:
                await asyncio.sleep(0.01)
            for reader in readers:
                reader.cancel()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[HostileRegistry, NginxCache]]:
    """A registry in this process that may ask for a login, and a running cache of it."""
    async with hostile_registry() as made:
        made.blob(DATA)
        cache = nginx_cache(tmp_path / "nginx", made.host)
        ask_first(tmp_path / "certs.d", made.host, cache.host)
        with ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, cache.running())
            yield made, cache


async def test_a_cache_of_a_registry_with_a_login_is_logged_in_to_and_gives_to_everybody(
    guarded: tuple[HostileRegistry, NginxCache], tmp_path: Path
) -> None:
    registry, cache = guarded
    registry.token_required = True
    login = {"auth": base64.b64encode(b"robot:password").decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {cache.host: login}}))
    hosts = HostsDirectory(directories=(tmp_path / "certs.d",))
    known = replace(QUICK, hosts=hosts, credentials=DockerConfig(tmp_path / "config.json"))
    for settings in (known, replace(QUICK, hosts=hosts)):
        async with RegistryClient(settings) as client:
            found = await client.blobs.read(registry.reference(), digest_of(DATA), 5, 10)
            assert found == DATA[5:15]
            assert client.statistics.retries == 0
    (asked,) = registry.asked("token")
    assert asked.headers["Authorization"] == f"Basic {login['auth']}"


async def test_redirects_to_a_store_are_handed_on_and_not_kept(
    guarded: tuple[HostileRegistry, NginxCache], tmp_path: Path
) -> None:
    registry, cache = guarded
    async with hostile_registry() as store:
        store.blob(DATA)
        where = f"http://{store.host}/v2/a/b/blobs/{digest_of(DATA)}"
        registry.on("blob", hostile.redirects(where))
        hosts = HostsDirectory(directories=(tmp_path / "certs.d",))
        async with RegistryClient(replace(QUICK, hosts=hosts)) as client:
            found = await client.blobs.read(registry.reference(), digest_of(DATA), 5, 10)
    assert found == DATA[5:15]
    assert cache.kept() == []


@dataclass
class Nodes:
    """Nodes of one registry that ask a mirror first."""

    directory: Path
    registry: LocalRegistry
    stack: ExitStack
    count: int = 0

    def join(self, mirror: str | None) -> Whole:
        """Start another node; its daemon, but not its containerd, knows the mirror."""
        self.count += 1
        directory = self.directory / f"n{self.count}"
        if mirror:
            ask_first(directory / "b/certs.d", self.registry.host, mirror)
        (directory / "images").mkdir(parents=True)
        return self.stack.enter_context(node_of(self.registry, directory))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with (
        work_directory() as directory,
        local_registry(directory / "reg") as registry,
        ExitStack() as stack,
    ):
        yield Nodes(directory, registry, stack)


def published(node: Whole, name: str) -> TroubleImage:
    """Push an image and its indexes."""
    image = trouble_image(node, name)
    publish_indexes(node, image)
    return image


def started(node: Whole, image: TroubleImage) -> str:
    """Pull lazily, read everything in a container, return what it made of it."""
    node.pull(image.reference)
    return node.run(image.reference, "sh", "-c", SUMS)


@dataclass
class TwoNodes:
    """Nodes that ask the same cache first."""

    first: Whole
    second: Whole
    cache: NginxCache


@pytest.fixture(scope="module")
def two(nodes: Nodes) -> TwoNodes:
    cache = nginx_cache(nodes.directory / "rack", nodes.registry.host)
    return TwoNodes(nodes.join(cache.host), nodes.join(cache.host), cache)


@pytest.mark.containers
def test_second_node_of_a_rack_has_layers_and_indexes_from_its_cache(two: TwoNodes) -> None:
    registry = two.first.registry
    with two.cache.running():
        image = published(two.first, "rack")
        assert started(two.first, image) == image.sums
        sent = blob_bytes(registry.requests())
        assert started(two.second, image) == image.sums
        fetched = blob_bytes(registry.requests()) - sent
    assert not set(fetched) & set(image.layers)
    # The image's configuration is containerd's to fetch, and it does not know the cache.
    assert len(fetched) <= 1


@pytest.mark.containers
def test_copies_that_went_bad_in_the_cache_are_read_from_the_registry(two: TwoNodes) -> None:
    with two.cache.running():
        image = published(two.first, "bad")
        assert started(two.first, image) == image.sums
        for path in two.cache.kept():
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.seek(size - size // 3)
                file.write(bytes(size // 3))
        assert started(two.second, image) == image.sums
    assert "chunk.corrupt_retrying" in two.second.daemon.log()
    assert "chunk.unreadable" not in two.second.daemon.log()


@pytest.mark.containers
def test_container_reads_on_when_the_cache_dies_in_the_middle_of_its_reads(nodes: Nodes) -> None:
    cache = nginx_cache(nodes.directory / "dies", nodes.registry.host)
    with cache.running() as nginx:
        node = nodes.join(cache.host)
        image = published(node, "dies")
        node.pull(image.reference)
        node.run(image.reference, "ls", "/data")
        os.killpg(nginx.process.pid, signal.SIGSTOP)
        with node.start(image.reference, "sh", "-c", SUMS) as container:
            wait_for(lambda: unanswered(cache.host), "reads that wait for the cache")
            os.killpg(nginx.process.pid, signal.SIGKILL)
            output, _ = container.communicate(timeout=60)
        assert output.endswith(image.sums), output  # ctr may have warned of something
        assert "registry.endpoint_aside" in node.daemon.log()
        assert "chunk.unreadable" not in node.daemon.log()


def unanswered(host: str) -> bool:
    """Say whether a server on this machine has not read all that clients sent it."""
    address, port = host.split(":")
    raw = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    wanted = f"{raw}:{int(port):04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    queues = (line.split()[4] for line in lines if line.split()[1] == wanted)
    return any(not queue.endswith(":00000000") for queue in queues)


@dataclass
class Peers:
    """A node, and another that asks the content store of its containerd first."""

    one: Whole
    other: Whole
    store: ContentStore


@pytest.fixture(scope="module")
def peers(nodes: Nodes) -> Iterator[Peers]:
    one = nodes.join(None)
    store = ContentStore(one.directory / "c/root")
    with content_store_mirror(store) as mirror:
        yield Peers(one, nodes.join(mirror), store)


@pytest.mark.containers
def test_layers_that_another_nodes_containerd_has_are_read_from_there(peers: Peers) -> None:
    image = published(peers.one, "peer")
    peers.one.containerd.pull(image.reference)
    assert all(peers.store.has(layer) for layer in image.layers)
    sent = blob_bytes(peers.one.registry.requests())
    assert started(peers.other, image) == image.sums
    fetched = blob_bytes(peers.one.registry.requests()) - sent
    assert fetched, "what it lacks (indexes) is the registry's to give"
    assert not set(fetched) & set(image.layers)
    assert not set(peers.store.missed) & set(image.layers)


@pytest.mark.containers
def test_layers_that_another_node_pulled_lazily_are_read_from_the_registry(peers: Peers) -> None:
    image = published(peers.one, "lazy-peer")
    assert started(peers.one, image) == image.sums
    assert not peers.store.has(image.layers[1])
    assert started(peers.other, image) == image.sums
    assert peers.store.missed[image.layers[1]] > 0
    assert "chunk.unreadable" not in peers.other.daemon.log()
