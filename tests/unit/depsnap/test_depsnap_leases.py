"""Nodes that start together: schedules of everything that can happen, over a simulated store."""

import asyncio
import heapq
import itertools
import random
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bootseer.blobs.store import BlobInfo
from bootseer.errors import RemoteError
from depsnap.leases.lease import Lease, Waiting, wait_or_lead
from depsnap.leases.terms import Doing, Patience, Seen, Watch, newest

PATIENCE = Patience(running=10.0, keeping=30.0)
INSTALL_S = 40.0
MOST_S = 200.0


class _Wake:
    """Resumes a coroutine at a time of the simulation."""

    def __init__(self, world: "World", seconds: float) -> None:
        self.world, self.seconds = world, seconds

    def __await__(self) -> Any:
        yield self.seconds


@dataclass
class World:
    """Time, and one store that all nodes share. One coroutine runs at a time, chosen by time."""

    chances: random.Random
    time: float = 0.0
    objects: dict[str, bytes] = field(default_factory=dict)
    broken_until: float = 0.0

    async def step(self) -> None:
        """Let others go on: a call takes as long as chance wants."""
        await _Wake(self, self.chances.choice([0.001, 0.01, 0.5, 2.0]))
        if self.time < self.broken_until:
            raise RemoteError("simulated outage", temporary=True)

    def run(self, nodes: list["Node"]) -> None:
        """Run all nodes to their ends."""
        count = itertools.count()
        queue: list[tuple[float, int, Node, Coroutine[Any, Any, None]]] = []
        for node in nodes:
            heapq.heappush(queue, (node.starts, next(count), node, node.main()))
        while queue:
            self.time, _, node, work = heapq.heappop(queue)
            if node.dies is not None and self.time >= node.dies:
                work.close()
                continue
            if node.pauses is not None and self.time >= node.pauses[0]:
                later = self.time + node.pauses[1]
                node.pauses = None
                heapq.heappush(queue, (later, next(count), node, work))
                continue
            try:
                seconds = work.send(None)
            except StopIteration:
                node.ended = self.time
                continue
            heapq.heappush(queue, (self.time + seconds, next(count), node, work))


class Store:
    """The `BlobStore` of a world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def put(self, name: str, content: bytes | Path) -> bool:
        await self.world.step()
        if name in self.world.objects:
            return False
        assert isinstance(content, bytes)
        self.world.objects[name] = content
        return True

    async def read(self, name: str, offset: int, length: int) -> bytes:
        await self.world.step()
        return self.world.objects[name][offset : offset + length]

    def stream(self, name: str, offset: int = 0) -> AsyncGenerator[bytes]:
        raise NotImplementedError

    async def size(self, name: str) -> int | None:
        await self.world.step()
        return len(self.world.objects[name]) if name in self.world.objects else None

    async def list(self, prefix: str, most: int) -> list[BlobInfo]:
        del most
        await self.world.step()
        found = [name for name in self.world.objects if name.startswith(f"{prefix}/")]
        return [BlobInfo(name, 0, 0.0) for name in sorted(found)]

    async def delete(self, name: str) -> bool:
        await self.world.step()
        return self.world.objects.pop(name, None) is not None


@dataclass
class Node:
    """A node that needs a snapshot."""

    world: World
    name: str
    starts: float
    dies: float | None = None
    pauses: tuple[float, float] | None = None
    """From when on, for how long."""
    installed: bool = False
    uses: bytes | None = None
    ended: float | None = None

    def now(self) -> float:
        """Return the node's own clock: it has nothing to do with anybody else's."""
        return self.world.time + sum(self.name.encode())

    async def sleep(self, seconds: float) -> None:
        await _Wake(self.world, seconds)

    async def look(self) -> bytes | None:
        await self.world.step()
        return self.world.objects.get("snapshot")

    async def main(self) -> None:
        store = Store(self.world)
        how = Waiting("lease", self.name, MOST_S, PATIENCE)
        lease: Lease | None = None
        try:
            waited = await wait_or_lead(store, self.look, how, self, lambda _: None)
            lease, self.uses = waited.lease, waited.found
        except RemoteError:
            pass
        if self.uses is None:
            await self.install(store, lease)

    async def install(self, store: Store, lease: Lease | None) -> None:
        for _ in range(int(INSTALL_S / 4)):
            if lease:
                await lease.beat(Doing.RUNNING)
            await self.sleep(4.0)
        self.installed = True
        self.uses = self.name.encode()
        try:
            if not await store.put("snapshot", self.uses):
                self.uses = self.world.objects["snapshot"]
        except RemoteError:
            return
        if lease:
            await lease.release()


def world_of(seed: int) -> World:
    return World(random.Random(seed))


SEEDS = st.integers(0, 1 << 32)
STARTS = st.lists(st.floats(0, 30), min_size=2, max_size=6)


@given(SEEDS, STARTS)
def test_without_trouble_one_installs_and_all_use_its_snapshot(
    seed: int, starts: list[float]
) -> None:
    world = world_of(seed)
    nodes = [Node(world, f"n{number}", start) for number, start in enumerate(starts)]
    world.run(nodes)
    assert [node.installed for node in nodes].count(True) == 1
    assert {node.uses for node in nodes} == {world.objects["snapshot"]}
    assert not any(name.startswith("lease") for name in world.objects)


@given(SEEDS, STARTS, st.data())
def test_killed_and_paused_and_cut_off_everybody_ends_with_the_published_snapshot(
    seed: int, starts: list[float], data: st.DataObject
) -> None:
    world = world_of(seed)
    world.broken_until = data.draw(st.sampled_from([0.0, 0.0, 15.0]))
    nodes = []
    for number, start in enumerate(starts):
        dies = data.draw(st.none() | st.floats(0, 120))
        pauses = data.draw(st.none() | st.tuples(st.floats(0, 90), st.sampled_from([5.0, 3600.0])))
        nodes.append(Node(world, f"n{number}", start, dies, pauses))
    published = world.objects.get("snapshot")
    world.run(nodes)
    published = world.objects.get("snapshot")
    for node in nodes:
        if node.ended is None:
            continue  # killed
        assert node.uses is not None
        if published is not None and not node.uses.startswith(node.name.encode()):
            assert node.uses == published
        paused = 3600.0 if node.ended > 3600 else 5.0
        assert node.ended <= 30 + MOST_S + 3 * INSTALL_S + paused + 60, "waiting is bounded"
    if published is not None:
        assert published.decode() in {node.name for node in nodes}


@given(SEEDS)
def test_a_killed_creator_is_followed_by_one_other(seed: int) -> None:
    world = world_of(seed)
    creator = Node(world, "creator", 0.0, dies=20.0)
    others = [Node(world, f"n{number}", 10.0 + number) for number in range(3)]
    world.run([creator, *others])
    assert creator.ended is None
    assert [node.installed for node in others].count(True) == 1
    assert {node.uses for node in others} == {world.objects["snapshot"]}


@given(SEEDS)
def test_a_creator_that_slept_for_an_hour_uses_what_was_published_meanwhile(seed: int) -> None:
    world = world_of(seed)
    creator = Node(world, "creator", 0.0, pauses=(15.0, 3600.0))
    other = Node(world, "other", 10.0)
    world.run([creator, other])
    assert world.objects["snapshot"] == b"other"
    assert creator.uses == b"other"
    assert other.ended is not None
    assert other.ended < 200


def test_a_silent_holder_is_followed_and_one_that_keeps_is_given_more_time() -> None:
    running, keeping = Seen(1, 3), Seen(1, 3, Doing.KEEPING)
    assert Watch(running, 100.0).may_take(109.0, PATIENCE) is None
    assert Watch(running, 100.0).may_take(110.0, PATIENCE) == 2
    assert Watch(keeping, 100.0).may_take(129.0, PATIENCE) is None
    assert Watch(keeping, 100.0).may_take(130.0, PATIENCE) == 2
    assert Watch(Seen(), 100.0).may_take(100.0, PATIENCE) == 1
    assert Watch(running, 100.0).next(running, 105.0).since == 100.0
    assert Watch(running, 100.0).next(Seen(1, 4), 105.0).since == 105.0


@given(st.lists(st.text("0123456789.abrunigkep", max_size=20)))
def test_names_of_any_kind_in_a_lease_are_no_trouble(names: list[str]) -> None:
    assert newest(names).term >= 0


def test_the_newest_beat_of_the_newest_term_counts() -> None:
    names = ["000001", "000001.000009.running", "000002", "000002.000001.keeping", "x", "000003.x"]
    assert newest(names) == Seen(2, 1, Doing.KEEPING)
    assert newest([]) == Seen()


def test_a_lease_is_released_in_a_real_store(tmp_path: Path) -> None:
    from bootseer.blobs.directory import DirectoryBlobs  # noqa: PLC0415

    class Real:
        def now(self) -> float:
            return 0.0

        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0 * seconds)

    async def main() -> None:
        store = DirectoryBlobs(tmp_path)

        async def nothing() -> None:
            return None

        how = Waiting("leases/job/k", "me", 0.0, PATIENCE)
        first = await wait_or_lead(store, nothing, how, Real(), lambda _: None)
        assert first.lease is not None
        second = await wait_or_lead(store, nothing, how, Real(), lambda _: None)
        assert second.lease is None
        await first.lease.beat(Doing.RUNNING)
        await first.lease.beat(Doing.KEEPING)
        assert [one.name for one in await store.list("leases", 10)] == [
            "leases/job/k/000001",
            "leases/job/k/000001.000002.keeping",
        ]
        await first.lease.release()
        assert await store.list("leases", 10) == []

    asyncio.run(main())
