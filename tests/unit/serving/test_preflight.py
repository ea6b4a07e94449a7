"""Directories that a daemon can live in, and those that it cannot."""

import os
from pathlib import Path

import pytest

from bootseer.errors import HostError
from snapshotter.blocks import lock
from snapshotter.serving.preflight import check_directories


def test_missing_directories_are_made(tmp_path: Path) -> None:
    root, run = tmp_path / "a/b", tmp_path / "c/d"
    check_directories(root, run)
    check_directories(root, run)
    assert root.is_dir()
    assert run.is_dir()
    assert list(run.iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_is_named_with_a_remedy(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="a file is in its place") as caught:
        check_directories(tmp_path / "file" / below)
    assert str(tmp_path / "file" / below) in caught.value.message
    assert caught.value.hint


def test_a_directory_that_takes_no_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="/proc/self cannot be used"):
        check_directories(tmp_path, Path("/proc/self"))


def test_a_root_that_a_keeper_holds_is_refused_until_it_is_gone(tmp_path: Path) -> None:
    held = lock.take(tmp_path)
    with pytest.raises(HostError, match=f"another daemon uses the root directory {tmp_path}"):
        check_directories(tmp_path)
    os.close(held)
    check_directories(tmp_path)
