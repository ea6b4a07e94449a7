"""The snapshotter without socket and mounts: what it keeps on disk, and what a crash leaves."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from bootseer.errors import BootseerError, HostError, NotFoundError, UsageError
from snapshotter.snapshots.core import Settings, Snapshotter
from snapshotter.snapshots.errors import ExistsError, StateError
from snapshotter.snapshots.labels import TARGET
from snapshotter.snapshots.lazy import Patience
from snapshotter.snapshots.ports import LayerMount, LayerRequest, StartRequest
from snapshotter.snapshots.records import Kind, Usage

SN = "plugin"
CHAIN = {letter: "sha256:" + letter * 64 for letter in "abcdef"}
IMPATIENT = Settings(lock_seconds=0)


class PlainLayers:
    """Serves every layer from an empty directory; counts what is asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.held: set[str] = set()
        self.log: list[str] = []
        self.slow = asyncio.Event()
        self.slow.set()
        self.failing: set[str] = set()

    async def provide(self, request: LayerRequest) -> LayerMount | None:
        layer = request.chain_id[7]
        self.log.append(f"provide {layer}")
        await self.slow.wait()
        await self.ensure(layer)
        return LayerMount(layer, 1, 2)

    def withdraw(self, stand_in: str) -> None:
        raise AssertionError("there are no stand-ins")

    async def release(self, layer: str) -> None:
        self.log.append(f"release {layer}")
        self.held.discard(layer)
        await asyncio.sleep(0)

    async def stand_ins(self, start: StartRequest) -> Mapping[str, str]:
        return {}

    def path(self, layer: str) -> Path:
        return self.root / layer

    async def ensure(self, layer: str) -> None:
        if layer in self.failing:
            raise HostError(f"layer {layer} is broken")
        self.path(layer).mkdir(parents=True, exist_ok=True)
        self.held.add(layer)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "r"


@pytest.fixture
async def core(root: Path) -> AsyncIterator[Snapshotter]:
    core = await Snapshotter.open(root)
    yield core
    await core.close()


@pytest.fixture
def layers(tmp_path: Path) -> PlainLayers:
    return PlainLayers(tmp_path / "l")


@pytest.fixture
async def lazy(root: Path, layers: PlainLayers) -> AsyncIterator[Snapshotter]:
    core = await Snapshotter.open(root, layers)
    yield core
    await core.close()


def directories(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "snapshots").iterdir())


async def test_a_root_has_one_process_at_a_time(core: Snapshotter, root: Path) -> None:
    with pytest.raises(HostError, match="another process"):
        await Snapshotter.open(root, settings=IMPATIENT)
    await core.close()
    again = await Snapshotter.open(root, settings=IMPATIENT)
    await again.close()


async def test_a_process_waits_for_one_that_is_stopping(core: Snapshotter, root: Path) -> None:
    waiting = asyncio.create_task(Snapshotter.open(root))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await core.close()
    await (await waiting).close()


async def test_a_root_that_overlay_cannot_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="colon"):
        await Snapshotter.open(tmp_path / "a:b")


async def test_an_unusable_database_frees_the_root(root: Path) -> None:
    root.mkdir()
    (root / "snapshots.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(HostError):
        await Snapshotter.open(root)
    (root / "snapshots.db").unlink()
    await (await Snapshotter.open(root, settings=IMPATIENT)).close()


async def test_commit_records_what_was_written(core: Snapshotter) -> None:
    (mount,) = await core.prepare(SN, "a", "", {})
    tree = Path(mount.source)
    (tree / "file").write_bytes(b"x" * 5000)
    os.link(tree / "file", tree / "same")
    seen = await core.usage(SN, "a")
    await core.commit(SN, "c", "a", {})
    (tree / "later").write_bytes(b"x" * 5000)
    assert await core.usage(SN, "c") == seen
    assert seen.inodes == 2
    assert seen.size >= 5000
    await core.view(SN, "v", "c", {})
    assert await core.usage(SN, "v") == Usage(0, 0)


async def test_a_commit_tried_again_is_told_that_it_happened(core: Snapshotter) -> None:
    await core.prepare(SN, "a", "", {})
    await core.commit(SN, "c", "a", {})
    with pytest.raises(ExistsError):
        await core.commit(SN, "c", "a", {})


async def test_an_upper_directory_is_owned_and_moded_as_the_tree_below(core: Snapshotter) -> None:
    (mount,) = await core.prepare(SN, "a", "", {})
    Path(mount.source).chmod(0o1751)
    await core.commit(SN, "c", "a", {})
    (mount,) = await core.prepare(SN, "b", "c", {})
    upper = next(o for o in mount.options if o.startswith("upperdir=")).removeprefix("upperdir=")
    assert Path(upper).stat().st_mode & 0o7777 == 0o1751


async def test_a_removed_snapshot_is_gone_from_disk_after_cleanup(
    core: Snapshotter, root: Path
) -> None:
    for key in ("a", "b"):
        await core.prepare(SN, key, "", {})
    await core.remove(SN, "a")
    assert "1" not in directories(root)
    await core.cleanup()
    assert directories(root) == ["2"]
    with pytest.raises(NotFoundError):
        await core.remove(SN, "a")


async def test_cleanups_and_prepares_at_once_do_not_hurt_each_other(
    core: Snapshotter, root: Path
) -> None:
    async def cycle(number: int) -> None:
        for turn in range(10):
            key = f"{number}-{turn}"
            (mount,) = await core.prepare(SN, key, "", {})
            assert Path(mount.source).is_dir()
            if turn:
                await core.remove(SN, key)

    async def clean() -> None:
        for _ in range(10):
            await core.cleanup()

    await asyncio.gather(*map(cycle, range(8)), clean(), clean())
    await core.cleanup()
    kept = await core.select(SN, [])
    assert len(directories(root)) == len(kept) == 8


async def test_a_crash_before_the_row_was_kept_does_not_block_the_next_prepare(
    core: Snapshotter, root: Path
) -> None:
    """The directory has its final name, the transaction is lost, the id comes again."""
    for name in ("1", "2", "new-abc"):
        (root / "snapshots" / name / "fs/old").mkdir(parents=True)
    (mount,) = await core.prepare(SN, "a", "", {})
    assert list(Path(mount.source).iterdir()) == []
    (view,) = await core.view(SN, "v", "", {})
    assert list(Path(view.source).iterdir()) == []
    await core.cleanup()
    assert directories(root) == ["1", "2"]


async def test_a_tree_lost_from_disk_is_not_found(core: Snapshotter, root: Path) -> None:
    await core.prepare(SN, "a", "", {})
    await core.commit(SN, "c", "a", {})
    shutil.rmtree(root / "snapshots/1")
    with pytest.raises(NotFoundError, match="pull it again"):
        await core.prepare(SN, "b", "c", {})
    await core.remove(SN, "c")
    await core.prepare(SN, "d", "", {})
    shutil.rmtree(root / "snapshots/2")
    with pytest.raises(NotFoundError):
        await core.usage(SN, "d")
    with pytest.raises(NotFoundError):
        await core.commit(SN, "e", "d", {})


async def test_a_disk_that_fails_is_a_host_error_and_leaves_no_row(
    core: Snapshotter, root: Path
) -> None:
    shutil.rmtree(root / "snapshots")
    with pytest.raises(HostError, match="disk"):
        await core.prepare(SN, "a", "", {})
    assert await core.select(SN, []) == []


async def test_plugins_do_not_see_each_other(core: Snapshotter) -> None:
    await core.prepare("one", "a", "", {})
    await core.prepare("two", "a", "", {})
    await core.remove("one", "a")
    assert [info.name for info in await core.select("two", [])] == ["a"]
    assert await core.select("one", []) == []


async def test_no_label_is_added_to_what_containerd_gives(core: Snapshotter) -> None:
    await core.prepare(SN, "a", "", {"k": "v", "empty": ""})
    assert (await core.stat(SN, "a")).labels == {"k": "v"}
    await core.commit(SN, "c", "a", {})
    assert (await core.stat(SN, "c")).labels == {}


async def test_mounts_of_a_committed_snapshot_are_a_state_error(core: Snapshotter) -> None:
    await core.prepare(SN, "a", "", {})
    await core.commit(SN, "c", "a", {})
    with pytest.raises(StateError):
        await core.mounts(SN, "c")
    with pytest.raises(NotFoundError):
        await core.mounts(SN, "a")
    with pytest.raises(StateError):
        await core.commit(SN, "d", "c", {})


async def test_labels_that_are_too_long_are_refused_everywhere(core: Snapshotter) -> None:
    await core.prepare(SN, "a", "", {})
    long = {"k": "v" * 4096}
    for call in (
        core.prepare(SN, "b", "", long),
        core.view(SN, "b", "", long),
        core.commit(SN, "b", "a", long),
        core.update(SN, "a", long, []),
    ):
        with pytest.raises(UsageError):
            await call
    assert [info.name for info in await core.select(SN, [])] == ["a"]


async def test_without_a_provider_image_layers_are_unpacked(core: Snapshotter) -> None:
    assert await core.prepare(SN, "x", "", {TARGET: CHAIN["a"]})
    assert (await core.stat(SN, "x")).kind is Kind.ACTIVE


async def test_layers_in_use_outlive_a_restart(
    lazy: Snapshotter, root: Path, layers: PlainLayers
) -> None:
    for letter in "ab":
        with pytest.raises(ExistsError):
            await lazy.prepare(SN, letter, "", {TARGET: CHAIN[letter]})
    await lazy.close()
    layers.held.clear()
    again = await Snapshotter.open(root, layers)
    assert await again.layers_in_use() == {"a", "b"}
    await again.restore()
    assert layers.held == {"a", "b"}
    await again.close()


async def test_a_layer_that_cannot_be_restored_does_not_stop_the_start(
    lazy: Snapshotter, layers: PlainLayers, caplog: pytest.LogCaptureFixture
) -> None:
    for letter in "ab":
        with pytest.raises(ExistsError):
            await lazy.prepare(SN, letter, "", {TARGET: CHAIN[letter]})
    layers.held.clear()
    layers.failing = {"a"}
    await lazy.restore()
    assert layers.held == {"b"}
    assert [record.message for record in caplog.records] == ["layer not restored"]


async def test_a_bug_in_a_provider_is_logged_and_does_not_spread(
    lazy: Snapshotter,
    layers: PlainLayers,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_layer: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExistsError):
        await lazy.prepare(SN, "x", "", {TARGET: CHAIN["a"]})
    monkeypatch.setattr(layers, "ensure", fail)
    monkeypatch.setattr(layers, "release", fail)
    await lazy.restore()
    with pytest.raises(HostError, match="see the log"):
        await lazy.prepare(SN, "y", CHAIN["a"], {})
    assert await lazy.prepare("other", "z", "", {TARGET: CHAIN["b"]})
    await lazy.remove(SN, CHAIN["a"])
    await lazy.close()
    assert [record.message for record in caplog.records].count("layer provider failed") == 4


async def test_a_release_waits_for_layers_being_provided(
    lazy: Snapshotter, layers: PlainLayers
) -> None:
    with pytest.raises(ExistsError):
        await lazy.prepare(SN, "x", "", {TARGET: CHAIN["a"]})
    layers.slow.clear()
    pending = asyncio.create_task(lazy.prepare("other", "x", "", {TARGET: CHAIN["a"]}))
    while len(layers.log) < 2:
        await asyncio.sleep(0)
    await lazy.remove(SN, CHAIN["a"])
    for _ in range(20):
        await asyncio.sleep(0)
    assert layers.held == {"a"}
    layers.slow.set()
    with pytest.raises(ExistsError):
        await pending
    await lazy.close()
    assert layers.log == ["provide a", "provide a"]
    assert layers.held == {"a"}


async def test_a_removal_whose_caller_hangs_up_still_releases_the_layer(
    lazy: Snapshotter, layers: PlainLayers
) -> None:
    with pytest.raises(ExistsError):
        await lazy.prepare(SN, "x", "", {TARGET: CHAIN["a"]})
    removing = asyncio.create_task(lazy.remove(SN, CHAIN["a"]))
    await asyncio.sleep(0)
    removing.cancel()
    await asyncio.gather(removing, return_exceptions=True)
    while await lazy.select(SN, []):
        await asyncio.sleep(0)
    while not layers.log[1:]:
        await asyncio.sleep(0)
    assert layers.log == ["provide a", "release a"]


async def test_a_layer_that_was_provided_but_not_kept_is_released(
    lazy: Snapshotter, layers: PlainLayers
) -> None:
    """The parent is removed while the layer on it is provided."""
    await lazy.prepare(SN, "p-active", "", {})
    await lazy.commit(SN, "p", "p-active", {})
    layers.slow.clear()
    pending = asyncio.create_task(lazy.prepare(SN, "x", "p", {TARGET: CHAIN["a"]}))
    while not layers.log:
        await asyncio.sleep(0)
    await lazy.remove(SN, "p")
    layers.slow.set()
    with pytest.raises(NotFoundError):
        await pending
    await lazy.close()
    assert layers.log == ["provide a", "release a"]


async def test_whatever_happens_at_once_held_layers_are_the_ones_in_use(
    lazy: Snapshotter, layers: PlainLayers
) -> None:
    async def pull_and_remove(letter: str, plugin: str) -> None:
        for turn in range(10):
            with pytest.raises(ExistsError):
                await lazy.prepare(plugin, f"{letter}{turn}", "", {TARGET: CHAIN[letter]})
            if plugin == "keep" and letter in "ab" and turn == 9:
                return
            try:
                await lazy.remove(plugin, CHAIN[letter])
            except BootseerError:
                raise AssertionError(f"{plugin} {letter}") from None

    plugins = ("one", "two", "keep")
    await asyncio.gather(*(pull_and_remove(one, two) for one in "abcd" for two in plugins))
    in_use = await lazy.layers_in_use()
    await lazy.close()
    assert layers.held == in_use == {"a", "b"}


async def test_closing_does_not_wait_for_a_release_that_hangs(
    root: Path, layers: PlainLayers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_layer: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(layers, "release", hang)
    settings = Settings(patience=Patience(release=600), close_seconds=0.05)
    core = await Snapshotter.open(root, layers, settings)
    with pytest.raises(ExistsError):
        await core.prepare(SN, "x", "", {TARGET: CHAIN["a"]})
    await core.remove(SN, CHAIN["a"])
    async with asyncio.timeout(30):
        await core.close()
