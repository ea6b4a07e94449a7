"""What containerd's own suite asks of every snapshotter, over the socket and with real mounts.

One test for each of its 21 cases (containerd `core/snapshots/testsuite`), written anew.
"""

import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import grpc
import pytest

from snapshotter.service.protos import snapshots_pb2 as pb
from snapshotter.snapshots.core import Snapshotter
from tests.integration.mounting import clear, listing, make_directory, mounted, write
from tests.integration.snapshot_client import Client, refused, served

pytestmark = pytest.mark.containers

LABELS = {"containerd.io/gc.root": "2026-01-01T00:00:00Z"}

Change = Callable[[Path], None]


@pytest.fixture(autouse=True)
def _no_umask() -> AsyncIterator[None]:  # type: ignore[misc]
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with served(tmp_path / "r") as client:
        yield client


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


async def layered(client: Client, work: Path, *changes: Change) -> str:
    """Commit one snapshot a change, comparing each with the same changes to a plain directory."""
    flat = work / "flat"
    shutil.rmtree(flat, ignore_errors=True)
    flat.mkdir()
    parent = ""
    for number, change in zip(count(), changes, strict=False):
        key = f"{flat}-{time.monotonic_ns()}-{number}"
        with mounted(await client.prepare(key, parent, LABELS), work / "active") as tree:
            change(tree)
        change(flat)
        await client.commit(f"{key}-committed", key, LABELS)
        parent = f"{key}-committed"
        with mounted(await client.view(f"{key}-view", parent, LABELS), work / "view") as tree:
            assert listing(tree) == listing(flat)
        await client.remove(f"{key}-view")
    return parent


async def test_basic(client: Client, work: Path) -> None:
    def first(tree: Path) -> None:
        write(tree / "foo", b"foo\n", 0o777)
        (tree / "a/b/c").mkdir(parents=True)

    def second(tree: Path) -> None:
        write(tree / "bar", b"bar\n", 0o777)
        write(tree / "foo", b"bar\n", 0o777)
        shutil.rmtree(tree / "a/b")

    plain = work / "plain"
    plain.mkdir()
    with mounted(await client.prepare("preparing", "", LABELS), work / "m") as tree:
        first(tree)
    await client.commit("committed", "preparing", LABELS)
    one = await client.stat("committed")
    assert (one.parent, one.kind) == ("", pb.COMMITTED)
    async with refused(grpc.StatusCode.NOT_FOUND):
        await client.stat("preparing")

    with mounted(await client.prepare("next", "committed", LABELS), work / "m") as tree:
        first(plain)
        assert listing(tree) == listing(plain)
        second(tree)
    active = await client.stat("next")
    assert (active.parent, active.kind) == ("committed", pb.ACTIVE)
    await client.commit("committed-next", "next", LABELS)
    two = await client.stat("committed-next")
    assert (two.parent, two.kind) == ("committed", pb.COMMITTED)
    async with refused(grpc.StatusCode.NOT_FOUND):
        await client.stat("next")
    assert await client.list() == {"committed": one, "committed-next": two}

    with mounted(await client.view("view", "committed-next", LABELS), work / "m") as tree:
        second(plain)
        assert listing(tree) == listing(plain)
    await client.remove("view")
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "remove"):
        await client.remove("committed")
    await client.remove("committed-next")
    await client.remove("committed")


async def test_stat_active(client: Client, work: Path) -> None:
    with mounted(await client.prepare("preparing", "", LABELS), work / "m"):
        pass
    info = await client.stat("preparing")
    assert (info.name, info.kind, info.parent) == ("preparing", pb.ACTIVE, "")


async def test_stat_committed(client: Client, work: Path) -> None:
    with mounted(await client.prepare("preparing", "", LABELS), work / "m"):
        pass
    await client.commit("committed", "preparing", LABELS)
    info = await client.stat("committed")
    assert (info.name, info.kind, info.parent) == ("committed", pb.COMMITTED, "")


async def test_transitivity(client: Client, work: Path) -> None:
    with mounted(await client.prepare("preparing", "", LABELS), work / "m") as tree:
        write(tree / "foo", b"foo\n")
    await client.commit("a", "preparing", LABELS)
    with mounted(await client.prepare("next", "a", LABELS), work / "m") as tree:
        write(tree / "foo", b"foo bar\n")
    await client.commit("b", "next", LABELS)
    assert (await client.stat("a")).parent == ""
    assert (await client.stat("b")).parent == "a"
    assert (await client.stat((await client.stat("b")).parent)).parent == ""


async def test_prepare_and_view_fail_for_a_key_in_use(client: Client) -> None:
    await client.prepare("preparing", "", LABELS)
    await client.commit("a", "preparing", LABELS)
    await client.prepare("one", "a", LABELS)
    async with refused(grpc.StatusCode.ALREADY_EXISTS):
        await client.view("one", "a", LABELS)
    async with refused(grpc.StatusCode.ALREADY_EXISTS):
        await client.prepare("one", "a", LABELS)
    await client.view("two", "a", LABELS)
    async with refused(grpc.StatusCode.ALREADY_EXISTS):
        await client.view("two", "a", LABELS)


async def base(client: Client) -> None:
    await client.prepare("c1-a", "", LABELS)
    await client.commit("c1", "c1-a", LABELS)
    await client.prepare("c2-a", "c1", LABELS)
    await client.commit("c2", "c2-a", LABELS)
    await client.prepare("a1", "c2", LABELS)
    await client.prepare("a2", "", LABELS)
    await client.view("v1", "c2", LABELS)
    await client.view("v2", "", LABELS)


@pytest.mark.parametrize(
    ("name", "kind", "parent"),
    [
        ("c1", pb.COMMITTED, ""),
        ("c2", pb.COMMITTED, "c1"),
        ("a1", pb.ACTIVE, "c2"),
        ("a2", pb.ACTIVE, ""),
        ("v1", pb.VIEW, "c2"),
        ("v2", pb.VIEW, ""),
    ],
)
async def test_update(client: Client, name: str, kind: pb.Kind.ValueType, parent: str) -> None:
    before = time.time_ns()
    await base(client)
    after = time.time_ns()
    info = await client.stat(name)
    created = info.created_at.ToNanoseconds()
    assert before <= created <= after
    assert info.updated_at == info.created_at
    assert (info.name, info.kind, info.parent) == (name, kind, parent)

    labels = {"l1": "v1", "l2": "v2", "l3": "v3", **LABELS}
    changed = await client.update(pb.Info(name=name, parent="doesnotexist", labels=labels))
    assert changed.created_at.ToNanoseconds() == created
    assert after <= changed.updated_at.ToNanoseconds() <= time.time_ns()
    assert (changed.name, changed.kind, changed.parent) == (name, kind, parent)
    assert changed.labels == labels

    some = pb.Info(name=name, labels={"l1": "updated", "l4": "v4"})
    changed = await client.update(some, "labels.l1", "labels.l2")
    assert changed.labels == {"l1": "updated", "l3": "v3", **LABELS}

    changed = await client.update(pb.Info(name=name, labels={"l4": "v4", **LABELS}), "labels")
    assert changed.labels == {"l4": "v4", **LABELS}
    assert await client.stat(name) == changed

    async with refused(grpc.StatusCode.INVALID_ARGUMENT):
        await client.update(pb.Info(name=name, parent="doesnotexist"), "parent")


async def test_remove(client: Client) -> None:
    await client.prepare("committed-a", "", LABELS)
    await client.commit("committed-1", "committed-a", LABELS)
    await client.prepare("reuse-1", "committed-1", LABELS)
    await client.remove("reuse-1")
    await client.view("reuse-1", "committed-1", LABELS)
    await client.remove("reuse-1")
    await client.prepare("reuse-1", "", LABELS)
    await client.remove("committed-1")
    await client.commit("committed-1", "reuse-1", LABELS)


async def test_walk(client: Client) -> None:
    root = {"containerd.io/gc.root": "check-walk"}
    await client.prepare("a-np", "", root)
    await client.prepare("p-tmp", "", root)
    await client.commit("p", "p-tmp", root)
    await client.prepare("a", "p", root)
    await client.view("v", "p", root)
    await client.prepare("p-wl-tmp", "", root)
    await client.commit("p-wl", "p-wl-tmp", root | {"l": "1"})
    await client.prepare("a-wl", "p-wl", root | {"l": "2"})
    await client.view("v-wl", "p-wl", root | {"l": "3"})
    await client.prepare("a-np-wl", "", root | {"l": "2"})

    async def names(*filters: str) -> list[str]:
        return sorted(await client.list(*filters))

    gc = 'labels."containerd.io/gc.root"==check-walk'
    all_names = ["a", "a-np", "a-np-wl", "a-wl", "p", "p-wl", "v", "v-wl"]
    assert await names() == all_names
    assert await names(gc) == all_names
    assert await names(f"kind==active,{gc}") == ["a", "a-np", "a-np-wl", "a-wl"]
    assert await names(f"kind==view,{gc}") == ["v", "v-wl"]
    assert await names(f"kind==committed,{gc}") == ["p", "p-wl"]
    assert await names("name==p", "name==a-np-wl") == ["a-np-wl", "p"]
    assert await names("name==a-wl,labels.l") == ["a-wl"]
    assert await names("parent==p") == ["a", "v"]
    assert await names(f'parent!="",{gc}') == ["a", "a-wl", "v", "v-wl"]
    assert await names("labels.l") == ["a-np-wl", "a-wl", "p-wl", "v-wl"]
    assert await names("labels.l==2") == ["a-np-wl", "a-wl"]


async def test_layer_file_update(client: Client, work: Path) -> None:
    def first(tree: Path) -> None:
        make_directory(tree / "etc", 0o700)
        write(tree / "etc/hosts", b"mydomain 10.0.0.1")
        write(tree / "etc/profile", b"PATH=/usr/bin")

    def second(tree: Path) -> None:
        write(tree / "etc/hosts", b"mydomain 10.0.0.2")
        write(tree / "etc/profile", b"PATH=/usr/bin", 0o666)
        make_directory(tree / "root", 0o700)
        write(tree / "root/.bashrc", b"PATH=/usr/sbin:/usr/bin")

    for _ in range(5):
        await layered(client, work, first, second)


async def test_remove_directory_in_lower_layer(client: Client, work: Path) -> None:
    def first(tree: Path) -> None:
        make_directory(tree / "lib", 0o700)
        write(tree / "lib/hidden", b"")

    def second(tree: Path) -> None:
        shutil.rmtree(tree / "lib")
        make_directory(tree / "lib", 0o700)
        write(tree / "lib/not-hidden", b"")

    await layered(client, work, first, second, lambda tree: write(tree / "lib/newfile", b""))


async def test_chown(client: Client, work: Path) -> None:
    names = ["opt", "opt/a", "opt/a/b", "opt/a/b/file.txt"]

    def first(tree: Path) -> None:
        for name in names[:3]:
            make_directory(tree / name, 0o700)
        write(tree / names[3], b"hello")

    def second(tree: Path) -> None:
        for name in names:
            os.chown(tree / name, 1, 1)

    await layered(client, work, first, second)


async def test_directory_permission_on_commit(client: Client, work: Path) -> None:
    def first(tree: Path) -> None:
        for number in range(1, 6):
            make_directory(tree / f"dir{number}", 0o700)
        write(tree / "dir4/f1", b"...")
        write(tree / "dir5/f1", b"...")
        for name in ("dir1", "dir2", "dir3", "dir5", "dir5/f1"):
            os.chown(tree / name, 1, 1)

    def second(tree: Path) -> None:
        os.chown(tree / "dir2", 0, 0)
        shutil.rmtree(tree / "dir3")
        os.chown(tree / "dir4", 1, 1)
        os.chown(tree / "dir4/f1", 1, 1)

    def third(tree: Path) -> None:
        make_directory(tree / "dir3", 0o700)
        os.chown(tree / "dir3", 1, 1)
        shutil.rmtree(tree / "dir5")
        make_directory(tree / "dir5", 0o700)
        os.chown(tree / "dir5", 1, 1)

    await layered(client, work, first, second, third)


async def test_remove_intermediate_snapshot(client: Client) -> None:
    await client.prepare("base", "", LABELS)
    await client.commit("committed-base", "base", LABELS)
    await client.prepare("intermediate", "committed-base", LABELS)
    await client.commit("committed-inter", "intermediate", LABELS)
    await client.prepare("top", "committed-inter", LABELS)
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "remove"):
        await client.remove("committed-inter")
    for name in ("top", "committed-inter", "committed-base"):
        await client.remove(name)
    assert await client.list() == {}


async def test_deleted_files_in_child_snapshot(client: Client, work: Path) -> None:
    def first(tree: Path) -> None:
        write(tree / "foo", b"foo\n", 0o777)
        write(tree / "foobar", b"foobar\n", 0o777)

    await layered(client, work, first, lambda tree: clear(tree / "foobar"), lambda _: None)


async def test_move_file_from_lower_layer(client: Client, work: Path) -> None:
    def first(tree: Path) -> None:
        make_directory(tree / "dir1", 0o700)
        write(tree / "dir1/f1", b"Hello")
        make_directory(tree / "dir2", 0o700)
        write(tree / "dir2/f2", b"...")

    def second(tree: Path) -> None:
        make_directory(tree / "dir3", 0o700)
        write(tree / "dir3/f1", b"Hello")
        shutil.rmtree(tree / "dir1")
        (tree / "dir3/f2").hardlink_to(tree / "dir2/f2")
        (tree / "dir2/f2").unlink()

    await layered(client, work, first, second)


async def test_view_is_read_only(client: Client, work: Path) -> None:
    await client.prepare("preparing", "", LABELS)
    await client.commit("committed", "preparing", LABELS)
    with (
        mounted(await client.view("view", "committed", LABELS), work / "m") as tree,
        pytest.raises(OSError, match="Read-only"),
    ):
        (tree / "testfile").write_bytes(b"testcontent")
    await client.remove("view")
    await client.remove("committed")


async def test_stat_in_walk(client: Client) -> None:
    await base(client)
    for name, info in (await client.list()).items():
        assert await client.stat(name) == info


async def test_close_twice(tmp_path: Path) -> None:
    core = await Snapshotter.open(tmp_path / "r")
    await core.prepare("testsuite", "n-prepare", "", LABELS)
    await core.commit("testsuite", "n", "n-prepare", LABELS)
    await core.remove("testsuite", "n")
    await core.close()
    await core.close()


async def test_root_permission(client: Client, work: Path) -> None:
    with mounted(await client.prepare("preparing", "", LABELS), work / "m") as tree:
        assert tree.stat().st_mode & 0o777 == 0o755


async def test_rename(client: Client, work: Path) -> None:
    def first(tree: Path) -> None:
        make_directory(tree / "dir1", 0o700)
        make_directory(tree / "somefiles", 0o700)
        write(tree / "somefiles/f1", b"was here first!")
        write(tree / "somefiles/f2", b"nothing interesting")

    def second(tree: Path) -> None:
        # A directory from below is not renamed: overlayfs answers EXDEV without redirect_dir.
        write(tree / "somefiles/f1-overwrite", b"new content 1")
        (tree / "somefiles/f1-overwrite").rename(tree / "somefiles/f1")
        (tree / "somefiles/f2").rename(tree / "somefiles/f3")

    await layered(client, work, first, second)


async def test_128_layers_mount(client: Client, work: Path) -> None:
    def lowest(tree: Path) -> None:
        write(tree / "bottom", b"way at the bottom\n", 0o777)
        write(tree / "overwriteme", b"FIRST!\n", 0o777)
        make_directory(tree / "addhere")
        make_directory(tree / "onlyme")
        write(tree / "onlyme/bottom", b"bye!\n", 0o777)

    def layer(number: int) -> Change:
        def change(tree: Path) -> None:
            write(tree / "overwriteme", f"{number} WAS HERE!\n".encode(), 0o777)
            write(tree / f"addhere/file-{number}", b"same\n", 0o755)
            shutil.rmtree(tree / "onlyme")
            make_directory(tree / "onlyme")
            write(tree / f"onlyme/file-{number}", b"only me!\n", 0o777)

        return change

    await layered(client, work, lowest, *map(layer, range(1, 128)))
