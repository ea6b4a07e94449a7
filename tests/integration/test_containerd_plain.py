"""containerd 2.x, ctr and runc on our snapshotter as a plain one: no layer is served lazily."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.lab.containerd import Containerd
from benchmarks.lab.workdir import work_directory
from tests.integration.containerd_fixture import (
    PLUGIN,
    archive,
    collect_garbage,
    private_containerd,
    tiny_layout,
    tiny_trees,
)
from tests.integration.snapshot_client import Client, served

pytestmark = pytest.mark.containers

REFERENCE = "tiny:latest"


@pytest.fixture
def work() -> Iterator[Path]:
    with work_directory() as work:
        yield work


@pytest.fixture
async def backend(work: Path) -> AsyncIterator[Client]:
    async with served(work / "s") as client:
        client.snapshotter = PLUGIN
        yield client


@contextmanager
def engine_on(work: Path) -> Iterator[Containerd]:
    with private_containerd(work / "c", work / "s.sock") as engine:
        yield engine


async def test_ctr_snapshots_prepares_commits_lists_and_removes(
    work: Path, backend: Client
) -> None:
    def use() -> str:
        with engine_on(work) as engine:

            def ctr(*arguments: str) -> str:
                return engine.ctr("snapshots", "--snapshotter", PLUGIN, *arguments)

            ctr("prepare", "first")
            ctr("commit", "base", "first")
            ctr("prepare", "second", "base")
            ctr("label", "base", "some=label")
            assert "overlay" in ctr("mounts", str(work / "m"), "second")
            ctr("usage", "base")
            found = ctr("list")
            ctr("remove", "second")
            ctr("remove", "base")
            collect_garbage(engine)
            return found

    found = await asyncio.to_thread(use)
    rows = {fields[0]: fields[1:] for fields in map(str.split, found.splitlines()[1:])}
    assert rows == {"base": ["Committed"], "second": ["base", "Active"]}
    assert await backend.list() == {}


async def test_an_image_is_imported_and_run_and_removing_it_leaves_nothing(
    work: Path, backend: Client
) -> None:
    image = archive(tiny_layout(work / "layout", tiny_trees(work / "trees"), name=REFERENCE))

    def import_and_run(engine: Containerd) -> str:
        engine.ctr("images", "import", "--snapshotter", PLUGIN, str(image))
        reference = engine.ctr("images", "list", "--quiet").strip()
        command = engine.run_command(reference, "one", snapshotter=PLUGIN)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def forget(engine: Containerd) -> None:
        reference = engine.ctr("images", "list", "--quiet").strip()
        engine.ctr("images", "remove", "--sync", reference)

    with engine_on(work) as engine:
        assert await asyncio.to_thread(import_and_run, engine) == "hello\n"
        kept = await backend.list("kind==committed")
        assert sorted(bool(info.parent) for info in kept.values()) == [False, True]
        await asyncio.to_thread(forget, engine)
        assert await backend.list() == {}
    assert list((work / "s/snapshots").iterdir()) == []


async def test_two_containers_write_side_by_side_on_one_image(work: Path, backend: Client) -> None:
    image = archive(tiny_layout(work / "layout", tiny_trees(work / "trees"), name=REFERENCE))

    def use() -> None:
        with engine_on(work) as engine:
            engine.ctr("images", "import", "--snapshotter", PLUGIN, str(image))
            reference = engine.ctr("images", "list", "--quiet").strip()
            for name in ("one", "two"):
                script = f"[ ! -e /mark ] && touch /mark && echo {name} > /etc/greeting"
                command = engine.run_command(
                    reference, name, "/bin/sh", "-c", script, snapshotter=PLUGIN
                )
                subprocess.run(command, check=True, capture_output=True, timeout=60)
            command = engine.run_command(reference, "three", snapshotter=PLUGIN)
            said = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
            assert said == b"hello\n"
            collect_garbage(engine)

    await asyncio.to_thread(use)
    assert await backend.list("kind==active") == {}
