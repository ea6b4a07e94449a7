"""Names of open files that are taken away, and what is left when that fails."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from fuse_hdfs.files.names import UNFINISHED
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.vfs.nodes import ROOT
from fuse_hdfs.vfs.tree import Tree


class Refusing(DirectoryStore):
    """A directory in which nothing may be removed."""

    __slots__ = ()

    async def remove(self, path: str) -> None:
        raise PermissionError(13, "Permission denied", path)


class Doubtful(DirectoryStore):
    """A directory in which removing works, but nobody hears of it."""

    __slots__ = ()

    async def remove(self, path: str) -> None:
        await super().remove(path)
        raise OSError(errno.ETIMEDOUT, "nobody answers", path)


class Gated(DirectoryStore):
    """A directory in which publishing waits at its last step."""

    __slots__ = ("begun", "gate")

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        object.__setattr__(self, "begun", asyncio.Event())
        object.__setattr__(self, "gate", asyncio.Event())

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        if old.startswith(UNFINISHED):
            self.begun.set()
            await self.gate.wait()
        await super().rename(old, new, replace=replace)


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


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_what_is_published_during_a_rename_has_the_new_name(
    tmp_path: Path, what: str
) -> None:
    store = Gated(tmp_path)
    tree = tree_on(store, tmp_path)
    owner = (os.getuid(), os.getgid())
    directory = await tree.make_directory(ROOT, "d", 0o755, owner)
    opened, _ = await tree.create(directory.inode, "file", 0o600, owner, os.O_RDWR)
    await tree.write(opened.handle, 0, b"changed")
    publishing = asyncio.create_task(tree.flush(opened.handle))
    await store.begun.wait()
    if what == "file":
        renaming = tree.rename(directory.inode, "file", ROOT, "new", replace=True)
    else:
        renaming = tree.rename(ROOT, "d", ROOT, "new", replace=True)
    both = asyncio.gather(publishing, asyncio.create_task(renaming))
    for _ in range(100):  # as far as the rename gets meanwhile
        await asyncio.sleep(0.001)
    store.gate.set()
    await both
    await tree.release(opened.handle)
    new = tmp_path / ("new" if what == "file" else "new/file")
    assert new.read_bytes() == b"changed"
    assert not (tmp_path / "d/file").exists()


async def test_a_small_file_that_is_replaced_elsewhere_lives_while_it_is_open(
    tmp_path: Path,
) -> None:
    here, elsewhere = (tree_on(DirectoryStore(tmp_path), tmp_path) for _ in range(2))
    handle = await opened(here)
    await changes_are_read(here, handle)
    await here.release(handle)
    inode = (await here.lookup(ROOT, "file")).inode
    reading = await here.open(inode, os.O_RDONLY)
    other = await elsewhere.open((await elsewhere.lookup(ROOT, "file")).inode, os.O_RDWR)
    await elsewhere.write(other.handle, 0, b"another")
    await elsewhere.flush(other.handle)
    assert (tmp_path / "file").read_bytes() == b"another again"
    assert await here.read(reading.handle, 0, 100) == b"changed again"
    await here.release(reading.handle)
    anew = await here.open((await here.lookup(ROOT, "file")).inode, os.O_RDONLY)
    assert await here.read(anew.handle, 0, 100) == b"another again"


@pytest.mark.parametrize("content", [b"small", b"large" * 10_000])
async def test_a_removal_that_happened_unheard_is_one(tmp_path: Path, content: bytes) -> None:
    tree = tree_on(Doubtful(tmp_path), tmp_path)
    handle = await opened(tree)
    await tree.write(handle, 0, content)
    await tree.flush(handle)
    await tree.remove(ROOT, "file")
    assert await tree.list(ROOT) == []
    assert await tree.read(handle, 0, len(content)) == content
    await tree.write(handle, 0, b"x")
    await tree.flush(handle)
    assert await tree.read(handle, 0, len(content)) == b"x" + content[1:]
    await tree.release(handle)
    assert not (tmp_path / "file").exists()
