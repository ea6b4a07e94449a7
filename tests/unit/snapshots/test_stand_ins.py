"""Layers that a container gets in another form: stored, let go of, and replaced if lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from bootseer.errors import HostError
from snapshotter.snapshots.core import Settings, Snapshotter
from snapshotter.snapshots.errors import ExistsError
from snapshotter.snapshots.labels import TARGET
from snapshotter.snapshots.lazy import Patience
from snapshotter.snapshots.ports import LayerMount, LayerRequest, StartRequest

SN = "plugin"
CHAIN = {letter: "sha256:" + letter * 64 for letter in "ab"}
IMAGE = {
    "containerd.io/snapshot/cri.image-ref": "registry/image:1",
    "containerd.io/snapshot/cri.manifest-digest": "sha256:" + "c" * 64,
}


class StandIns:
    """Serves layers from empty directories, and others in their place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ready = asyncio.Event()
        self.ready.set()
        self.given: dict[str, str] = {}
        self.error: Exception | None = None
        self.lost: set[str] = set()
        self.starts: list[StartRequest] = []
        self.released: list[str] = []
        self.withdrawn: list[str] = []

    async def provide(self, request: LayerRequest) -> LayerMount | None:
        layer = request.chain_id[7]
        await self.ensure(layer)
        return LayerMount(layer, 1, 2)

    async def stand_ins(self, start: StartRequest) -> Mapping[str, str]:
        self.starts.append(start)
        await self.ready.wait()
        if self.error:
            raise self.error
        for other in self.given.values():
            await self.ensure(other)
        return self.given

    def withdraw(self, stand_in: str) -> None:
        self.withdrawn.append(stand_in)

    async def release(self, layer: str) -> None:
        self.released.append(layer)

    def path(self, layer: str) -> Path:
        return self.root / layer

    async def ensure(self, layer: str) -> None:
        if layer in self.lost:
            raise HostError(f"layer {layer} is lost")
        self.path(layer).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def layers(tmp_path: Path) -> StandIns:
    return StandIns(tmp_path / "l")


@pytest.fixture
async def core(tmp_path: Path, layers: StandIns) -> AsyncIterator[Snapshotter]:
    core = await Snapshotter.open(
        tmp_path / "r", layers, Settings(patience=Patience(stand_ins=0.05))
    )
    parent = ""
    for letter in "ab":
        labels = {TARGET: CHAIN[letter], **IMAGE}
        with pytest.raises(ExistsError):
            await core.prepare(SN, f"unpack {letter}", parent, labels)
        parent = CHAIN[letter]
    yield core
    await core.close()


async def lowers(core: Snapshotter, key: str) -> list[str]:
    """Return the layers that the mounts of a container name, from the top down."""
    (mount,) = await core.mounts(SN, key)
    option = next(one for one in mount.options if one.startswith("lowerdir="))
    return [Path(path).name for path in option.removeprefix("lowerdir=").split(":")]


async def test_a_container_is_mounted_on_what_it_was_given_for_as_long_as_it_is_there(
    core: Snapshotter, layers: StandIns, tmp_path: Path
) -> None:
    layers.given = {"a": "a.h1", "b": "b.h1"}
    await core.prepare(SN, "first", CHAIN["b"], {"containerd.io/snapshot/name": "x"})
    layers.given = {}
    await core.prepare(SN, "second", CHAIN["b"], {})
    assert await lowers(core, "first") == ["b.h1", "a.h1"]
    assert await lowers(core, "second") == ["b", "a"]
    assert await core.layers_in_use() == {"a", "b", "a.h1", "b.h1"}
    await core.close()
    again = await Snapshotter.open(tmp_path / "r", layers)
    assert await lowers(again, "first") == ["b.h1", "a.h1"]
    await again.close()


async def test_what_is_asked_tells_the_image_the_layers_and_the_containers_labels(
    core: Snapshotter, layers: StandIns
) -> None:
    await core.prepare(SN, "c", CHAIN["b"], {"containerd.io/snapshot/name": "x"})
    (start,) = layers.starts
    assert start.image_ref == "registry/image:1"
    assert start.manifest_digest == "sha256:" + "c" * 64
    assert start.layers == ("b", "a")
    assert start.labels == {"containerd.io/snapshot/name": "x"}


async def test_views_and_layers_that_are_unpacked_get_none(
    core: Snapshotter, layers: StandIns
) -> None:
    layers.given = {"a": "a.h1"}
    await core.view(SN, "v", CHAIN["b"], {})
    assert layers.starts == []
    assert await core.layers_in_use() == {"a", "b"}


async def test_they_are_released_with_the_container_and_before_that_they_are_not(
    core: Snapshotter, layers: StandIns
) -> None:
    layers.given = {"b": "b.r1"}
    for key in ("one", "two"):
        await core.prepare(SN, key, CHAIN["b"], {})
    await core.remove(SN, "one")
    await core.close()
    assert layers.released == []


async def test_the_last_one_gone_releases_them(core: Snapshotter, layers: StandIns) -> None:
    layers.given = {"b": "b.r1"}
    await core.prepare(SN, "one", CHAIN["b"], {})
    await core.remove(SN, "one")
    await core.close()
    assert layers.released == ["b.r1"]


async def test_the_place_of_one_that_is_lost_is_taken_by_its_layer(
    core: Snapshotter, layers: StandIns, caplog: pytest.LogCaptureFixture
) -> None:
    layers.given = {"a": "a.h1", "b": "b.h1"}
    await core.prepare(SN, "c", CHAIN["b"], {})
    layers.lost = {"b.h1"}
    assert await lowers(core, "c") == ["b", "a.h1"]
    assert [record.message for record in caplog.records] == ["stand-in lost"]
    layers.lost = set()
    assert await lowers(core, "c") == ["b.h1", "a.h1"]


@pytest.mark.parametrize("error", [HostError("no"), OSError("no"), RuntimeError("a bug")])
async def test_trouble_with_them_never_fails_a_start(
    core: Snapshotter, layers: StandIns, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    layers.error = error
    await core.prepare(SN, "c", CHAIN["b"], {})
    assert await lowers(core, "c") == ["b", "a"]
    assert "container starts on layers as they were pulled" in caplog.messages


async def test_a_start_does_not_wait_for_them_for_long(core: Snapshotter, layers: StandIns) -> None:
    layers.ready.clear()
    await core.prepare(SN, "c", CHAIN["b"], {})
    assert await lowers(core, "c") == ["b", "a"]
