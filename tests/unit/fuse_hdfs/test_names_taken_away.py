"""Names of open files that are taken away, and what is left when that fails."""

import asyncio
import os
from pathlib import Path

import pytest

from fuse_hdfs.files.volume import Settings, Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.vfs.nodes import ROOT
from fuse_hdfs.vfs.tree import Tree


class Refusing(DirectoryStore):
    """A directory in which nothing may be removed."""

    __slots__ = ()

    async def remove(self, path: str) -> None:
        raise PermissionError(13, "Permission denied", path)


def tree_on(store: DirectoryStore, spool: Path) -> Tree:
    return Tree(Volume(store, Settings(Striping(4096, 3), small=1000)), spool)


async def opened(tree: Tree, name: str = "file") -> int:
    owner = (os.getuid(), os.getgid())
    return (await tree.create(ROOT, name, 0o600, owner, os.O_RDWR))[0].handle


async def changes_are_read(tree: Tree, handle: int) -> None:
    await tree.write(handle, 0, b"changed")
    await tree.flush(handle)
    assert await tree.read(handle, 0, 100) == b"changed"
    await tree.write(handle, 7, b" again")
    await tree.flush(handle)
    assert await tree.read(handle, 0, 100) == b"changed again"


async def test_a_file_that_nothing_was_renamed_over_stays_as_it_was(tmp_path: Path) -> None:
    tree = tree_on(DirectoryStore(tmp_path), tmp_path)
    handle = await opened(tree)
    with pytest.raises(FileNotFoundError):
        await tree.rename(ROOT, "none", ROOT, "file", replace=True)
    await changes_are_read(tree, handle)
    await tree.release(handle)
    assert (tmp_path / "file").read_bytes() == b"changed again"


async def test_a_file_that_may_not_be_removed_stays_as_it_was(tmp_path: Path) -> None:
    tree = tree_on(Refusing(tmp_path), tmp_path)
    handle = await opened(tree)
    with pytest.raises(PermissionError):
        await tree.remove(ROOT, "file")
    await changes_are_read(tree, handle)
    await tree.release(handle)
    assert (tmp_path / "file").read_bytes() == b"changed again"


async def test_publishing_meanwhile_does_not_bring_a_removed_name_back(tmp_path: Path) -> None:
    tree = tree_on(DirectoryStore(tmp_path), tmp_path)
    handle = await opened(tree)
    await tree.write(handle, 0, b"changed")
    await asyncio.gather(tree.remove(ROOT, "file"), tree.flush(handle))
    assert await tree.list(ROOT) == []
    assert await tree.read(handle, 0, 100) == b"changed"
    await tree.release(handle)
    assert await tree.list(ROOT) == []


async def test_publishing_meanwhile_does_not_undo_a_rename_over_a_file(tmp_path: Path) -> None:
    tree = tree_on(DirectoryStore(tmp_path), tmp_path)
    handle, other = await opened(tree), await opened(tree, "other")
    await tree.write(handle, 0, b"changed")
    await tree.write(other, 0, b"other")
    await tree.flush(other)
    await asyncio.gather(tree.rename(ROOT, "other", ROOT, "file", replace=True), tree.flush(handle))
    assert (tmp_path / "file").read_bytes() == b"other"
    assert await tree.read(handle, 0, 100) == b"changed"
    await tree.close()
    assert (tmp_path / "file").read_bytes() == b"other"
