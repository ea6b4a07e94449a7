"""When it is decided what a container gets in the place of its layers."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from test_stand_ins import CHAIN, IMAGE, SN, StandIns, lowers

from bootseer.errors import NotFoundError
from snapshotter.snapshots.core import Snapshotter
from snapshotter.snapshots.errors import ExistsError
from snapshotter.snapshots.labels import TARGET

WORKLOAD = "containerd.io/snapshot/bootseer.workload"


class Containers:
    """Knows containers as soon as it is told of them."""

    def __init__(self) -> None:
        self.known: dict[str, Mapping[str, str]] = {}
        self.asked: list[str] = []
        self.answering = asyncio.Event()
        self.answering.set()

    async def labels(self, key: str) -> Mapping[str, str] | None:
        self.asked.append(key)
        await self.answering.wait()
        return self.known.get(key)


async def opened(tmp_path: Path, layers: StandIns, containers: Containers) -> Snapshotter:
    core = await Snapshotter.open(tmp_path / "r", layers, containers=containers)
    with pytest.raises(ExistsError):
        await core.prepare(SN, "unpack", "", {TARGET: CHAIN["a"], **IMAGE})
    return core


async def test_what_a_container_is_when_it_starts_decides_again_and_once(tmp_path: Path) -> None:
    layers, containers = StandIns(tmp_path / "l"), Containers()
    core = await opened(tmp_path, layers, containers)
    layers.given = {"a": "a.r1"}
    await core.prepare(SN, "c", CHAIN["a"], {"containerd.io/snapshot/name": "x"})
    assert await lowers(core, "c") == ["a.r1"], "the container is not there yet"
    containers.known["c"] = {WORKLOAD: "train"}
    layers.given = {"a": "a.h1"}
    assert await lowers(core, "c") == ["a.h1"]
    layers.given = {"a": "a.h2"}
    assert await lowers(core, "c") == ["a.h1"]
    assert layers.starts[-1].labels == {"containerd.io/snapshot/name": "x", WORKLOAD: "train"}
    assert containers.asked == ["c", "c"]
    assert layers.withdrawn == ["a.r1"]
    await core.close()
    assert layers.released == ["a.r1"]


async def test_a_container_that_says_nothing_starts_on_what_it_got(tmp_path: Path) -> None:
    layers, containers = StandIns(tmp_path / "l"), Containers()
    core = await opened(tmp_path, layers, containers)
    layers.given = {"a": "a.h1"}
    containers.known["c"] = {}
    await core.prepare(SN, "c", CHAIN["a"], {})
    layers.given = {"a": "a.h2"}
    assert await lowers(core, "c") == ["a.h1"]
    assert len(layers.starts) == 1
    await core.close()
    assert layers.withdrawn == layers.released == []


async def test_labels_of_the_snapshot_that_are_for_us_need_no_container(tmp_path: Path) -> None:
    layers, containers = StandIns(tmp_path / "l"), Containers()
    core = await opened(tmp_path, layers, containers)
    layers.given = {"a": "a.r1"}
    await core.prepare(SN, "c", CHAIN["a"], {WORKLOAD: "own"})
    assert await lowers(core, "c") == ["a.r1"]
    assert containers.asked == []
    await core.close()


async def test_several_who_mount_one_container_at_once_get_the_same(tmp_path: Path) -> None:
    layers, containers = StandIns(tmp_path / "l"), Containers()
    core = await opened(tmp_path, layers, containers)
    containers.known["c"] = {WORKLOAD: "train"}
    await core.prepare(SN, "c", CHAIN["a"], {})
    layers.given = {"a": "a.h1"}
    assert await asyncio.gather(*(lowers(core, "c") for _ in range(5))) == [["a.h1"]] * 5
    assert len(layers.starts) == 2
    await core.close()


async def test_a_container_that_is_removed_while_it_is_decided_keeps_nothing(
    tmp_path: Path,
) -> None:
    layers, containers = StandIns(tmp_path / "l"), Containers()
    core = await opened(tmp_path, layers, containers)
    layers.given = {"a": "a.h1"}
    containers.known["c"] = {WORKLOAD: "train"}
    await core.prepare(SN, "c", CHAIN["a"], {})
    layers.given = {"a": "a.h2"}
    containers.answering.clear()
    mounting = asyncio.create_task(core.mounts(SN, "c"))
    while not containers.asked:
        await asyncio.sleep(0)
    await core.remove(SN, "c")
    containers.answering.set()
    with pytest.raises(NotFoundError):
        await mounting
    await core.close()
    assert layers.withdrawn == ["a.h2"]
    assert sorted(layers.released) == ["a.h1", "a.h2"]
