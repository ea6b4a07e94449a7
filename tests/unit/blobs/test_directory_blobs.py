"""Objects in a directory."""

import os
import time
from pathlib import Path

import pytest
from conformance import *  # noqa: F403  (every test there)
from hypothesis import given
from hypothesis import strategies as st

from bootseer.blobs.directory import DirectoryBlobs
from bootseer.blobs.store import check_name
from bootseer.errors import HostError, UsageError


@pytest.fixture
def store(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "not" / "there yet")


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_nothing_unfinished_stays(store: DirectoryBlobs) -> None:
    await store.put("a/b", b"data")
    await store.put("a/b", b"other")
    assert everything(store.root) == ["a/b"]


async def test_what_a_killed_writer_left_is_not_seen_and_removed_after_a_day(
    store: DirectoryBlobs,
) -> None:
    await store.put("a/b", b"data")
    old, young = (store.root / "a" / f".x.{age}.new" for age in ("old", "young"))
    for left in (old, young):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 100_000,) * 2)
    assert [one.name for one in await store.list("a", 10)] == ["a/b"]
    await store.put("a/c", b"data")
    assert not old.exists()
    assert young.exists()


async def test_links_out_of_the_directory_are_not_listed(
    store: DirectoryBlobs, tmp_path: Path
) -> None:
    await store.put("a/b", b"data")
    (store.root / "a" / "c").symlink_to(tmp_path)
    (store.root / "a" / "d").symlink_to("/etc/passwd")
    assert [one.name for one in await store.list("a", 10)] == ["a/b"]


async def test_a_place_that_refuses_is_an_error_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError, match="file"):
        await DirectoryBlobs(tmp_path / "file").put("a", b"data")


@given(st.text() | st.from_regex(r"[a-z./]{1,9}"))
def test_a_name_stays_below_the_root(name: str) -> None:
    try:
        check_name(name)
    except UsageError:
        return
    path = os.path.normpath(f"/root/{name}")
    assert path == f"/root/{name}"
