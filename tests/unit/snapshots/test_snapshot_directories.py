"""Directories of snapshots: made whole, left over, swept."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.snapshots.deletion import delete
from snapshotter.snapshots.directories import (
    Directories,
    abandoned,
    disk_usage,
    owner,
)
from snapshotter.snapshots.records import Kind, Owner, Usage

ME = Owner(os.geteuid(), os.getegid(), 0o755)


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    return Directories(tmp_path)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "snapshots").iterdir())


def test_an_active_snapshot_has_a_work_directory_and_a_view_none(
    directories: Directories, tmp_path: Path
) -> None:
    directories.create(1, Kind.ACTIVE, ME)
    directories.create(2, Kind.VIEW, ME)
    assert directories.tree(1).is_dir()
    assert directories.work(1).is_dir()
    assert directories.tree(2).is_dir()
    assert not directories.work(2).exists()
    assert names(tmp_path) == ["1", "2"]


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o1777, 0o2750, 0])
def test_the_trees_root_has_exactly_the_mode_asked_for(directories: Directories, mode: int) -> None:
    before = os.umask(0o077)
    try:
        directories.create(1, Kind.ACTIVE, Owner(ME.uid, ME.gid, mode))
    finally:
        os.umask(before)
    assert owner(directories.tree(1)) == Owner(ME.uid, ME.gid, mode)


def test_what_a_crash_left_under_an_id_is_moved_aside(
    directories: Directories, tmp_path: Path
) -> None:
    directories.create(1, Kind.ACTIVE, ME)
    (directories.tree(1) / "old").touch()
    directories.create(1, Kind.ACTIVE, ME)
    assert list(directories.tree(1).iterdir()) == []
    assert len(names(tmp_path)) == 2


def test_a_directory_that_cannot_be_made_leaves_nothing(
    directories: Directories, tmp_path: Path
) -> None:
    with pytest.raises((OSError, OverflowError)):
        directories.create(1, Kind.ACTIVE, Owner(1 << 40, 0, 0o755))
    assert names(tmp_path) == []


async def test_a_sweep_takes_all_that_no_snapshot_has(
    directories: Directories, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        directories.create(number, Kind.ACTIVE, ME)
    (tmp_path / "snapshots/new-abc/fs").mkdir(parents=True)
    directories.discard(3)
    doomed = directories.sweep({1})
    assert len(doomed) == 3
    await delete(doomed)
    await delete(doomed)
    assert names(tmp_path) == ["1"]
    assert directories.sweep({1}) == []


async def test_an_id_made_again_after_a_sweep_is_not_hit_by_its_deletion(
    directories: Directories,
) -> None:
    directories.create(1, Kind.ACTIVE, ME)
    doomed = directories.sweep(set())
    directories.create(1, Kind.ACTIVE, ME)
    await delete(doomed)
    assert directories.tree(1).is_dir()


def test_discarding_what_is_not_there_does_nothing(directories: Directories) -> None:
    directories.discard(7)


@given(st.sets(st.integers(1, 20)), st.sets(st.integers(1, 20)))
def test_nothing_alive_is_abandoned(there: set[int], alive: set[int]) -> None:
    listed = [*map(str, there), "new-1", "gone-2-ab", "junk"]
    assert set(abandoned(listed, alive)) == {*map(str, there - alive), "new-1", "junk"}


def test_usage_counts_every_inode_once(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub/deeper").mkdir(parents=True)
    (tree / "big").write_bytes(b"x" * 100_000)
    (tree / "sub/link").hardlink_to(tree / "big")
    (tree / "sub/symlink").symlink_to("/nowhere")
    (tree / "sparse").touch()
    os.truncate(tree / "sparse", 1 << 30)
    paths = [tree, *(path for path in tree.rglob("*") if path.name != "link")]
    blocks = sum(path.lstat().st_blocks for path in paths)
    assert disk_usage(tree) == Usage(blocks * 512, len(paths))
    assert blocks * 512 < 1 << 20


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def deep(path: Path, levels: int, name: str) -> None:
    """Make a tree whose paths are longer than any system call takes."""
    path.mkdir()
    here = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.mark.parametrize(("levels", "name"), [(3000, "d"), (40, "n" * 255), (30, "é" * 127)])
async def test_a_tree_of_any_depth_is_counted_and_deleted(
    tmp_path: Path, levels: int, name: str
) -> None:
    tree = tmp_path / "tree"
    deep(tree, levels, name)
    before = open_files()
    assert disk_usage(tree).inodes == levels + 1
    assert open_files() == before
    await delete([tree])
    assert not tree.exists()


async def test_what_cannot_be_deleted_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await delete([tmp_path / "gone", tmp_path / ("n" * 300), tmp_path])
    assert not tmp_path.exists()
    tmp_path.mkdir()
    assert "too long" in str(vars(caplog.records[-1]))


async def test_a_cancelled_deletion_ends(tmp_path: Path) -> None:
    task = asyncio.create_task(delete([tmp_path / "a"] * 100_000))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
