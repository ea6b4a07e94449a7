"""Drafts: what a publication writes, and what a store that fails does to one."""

import asyncio
import os
import random
from collections.abc import AsyncIterable
from pathlib import Path

import pytest

from fuse_hdfs.files.draft import COMPACT
from fuse_hdfs.files.reading import reader_of
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.vfs.nodes import ROOT
from fuse_hdfs.vfs.tree import Tree

UNIT = 4096
DATA = random.Random(4).randbytes(40 * UNIT)


class SlowStore(DirectoryStore):
    """A directory where stripes are closed when that is allowed, and may be lost then."""

    __slots__ = ()
    closes = asyncio.Event()
    fails = False
    written = asyncio.Event()
    """A manifest or plain file was written."""

    async def write(
        self,
        path: str,
        content: AsyncIterable[bytes] | bytes,
        *,
        mode: int = 0o644,
        parents: bool = True,
        place: str | None = None,
    ) -> None:
        await super().write(path, content, mode=mode, parents=parents, place=place)
        if isinstance(content, bytes):
            SlowStore.written.set()
            return
        await SlowStore.closes.wait()
        if SlowStore.fails:
            raise OSError(5, "lost", path)


class FullStore(SlowStore):
    """A directory on a disk that is full after so many stripes."""

    __slots__ = ()
    left = 1_000_000

    async def write(
        self,
        path: str,
        content: AsyncIterable[bytes] | bytes,
        *,
        mode: int = 0o644,
        parents: bool = True,
        place: str | None = None,
    ) -> None:
        FullStore.left -= 1
        if FullStore.left < 0:
            raise OSError(28, "No space left on device", path)
        await super().write(path, content, mode=mode, parents=parents, place=place)


class Opened:
    """A new file of a tree."""

    def __init__(self, root: Path) -> None:
        FullStore.left = 1_000_000
        SlowStore.closes, SlowStore.written = asyncio.Event(), asyncio.Event()
        SlowStore.closes.set()
        SlowStore.fails = False
        (root / "store").mkdir()
        self.root = root / "store"
        self.volume = Volume(FullStore(self.root), Settings(Striping(UNIT, 3), small=1000))
        self.tree = Tree(self.volume, root)

    async def open(self) -> int:
        owner = (os.getuid(), os.getgid())
        opened, _ = await self.tree.create(ROOT, "file", 0o600, owner, os.O_RDWR)
        return opened.handle

    async def content(self) -> bytes:
        fresh = Tree(self.volume, self.root)
        opened = await fresh.open((await fresh.lookup(ROOT, "file")).inode, os.O_RDONLY)
        found = await fresh.read(opened.handle, 0, 1 << 20)
        await fresh.release(opened.handle)
        return found

    def segments(self) -> int:
        return len(list((self.root / ".bootseer/segments").glob("*/*")))


async def test_only_changed_units_are_written_and_many_segments_become_one(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    handle = await opened.open()
    await opened.tree.write(handle, 0, DATA)
    await opened.tree.flush(handle)
    model = bytearray(DATA)
    most = 0
    for number in range(COMPACT + 5):
        offset = (number * 7919) % (len(DATA) - 10)
        await opened.tree.write(handle, offset, b"changed")
        model[offset : offset + 7] = b"changed"
        await opened.tree.flush(handle)
        most = max(most, opened.segments())
        manifest = (await opened.volume.load("file")).manifest
        assert manifest is not None
        assert opened.segments() == len(manifest.segments)
        if number == 0:
            assert [one.units for one in manifest.segments] == [40, 1]
    assert most < COMPACT
    assert await opened.content() == model


async def test_a_stream_that_broke_never_becomes_a_file(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    handle = await opened.open()
    await opened.tree.write(handle, 0, DATA)
    await opened.tree.flush(handle)
    FullStore.left = 2

    async def write_backwards() -> None:
        for start in range(0, len(DATA), UNIT):
            await opened.tree.write(handle, start, DATA[::-1][start : start + UNIT])
        await opened.tree.flush(handle)

    with pytest.raises(OSError, match="No space"):
        await write_backwards()
    FullStore.left = 1_000_000
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            await opened.tree.flush(handle)
    await opened.tree.release(handle)
    assert await opened.content() == DATA
    assert opened.segments() == 1


async def test_a_manifest_waits_for_the_stripes_that_are_being_closed(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    handle = await opened.open()
    await opened.tree.write(handle, 0, DATA)
    await opened.tree.flush(handle)
    await opened.tree.write(handle, 0, DATA[::-1])
    SlowStore.closes.clear()
    SlowStore.written.clear()
    publishing = asyncio.create_task(opened.tree.flush(handle))
    await SlowStore.written.wait()
    manifests = list((opened.root / ".bootseer/new").iterdir())
    assert len(manifests) == 1
    assert await opened.content() == DATA
    SlowStore.closes.set()
    await publishing
    assert await opened.content() == DATA[::-1]


async def test_a_stripe_that_cannot_be_closed_leaves_the_old_file(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    handle = await opened.open()
    await opened.tree.write(handle, 0, DATA)
    await opened.tree.flush(handle)
    await opened.tree.write(handle, 0, DATA[::-1])
    SlowStore.closes.clear()
    SlowStore.written.clear()
    SlowStore.fails = True
    publishing = asyncio.create_task(opened.tree.flush(handle))
    await SlowStore.written.wait()
    SlowStore.closes.set()
    with pytest.raises(OSError, match="lost"):
        await publishing
    with pytest.raises(OSError, match="Input/output"):
        await opened.tree.flush(handle)
    await opened.tree.release(handle)
    assert await opened.content() == DATA
    assert opened.segments() == 1
    assert not list((opened.root / ".bootseer/new").iterdir())


async def test_drafts_beyond_the_room_for_them_are_in_the_spool_and_come_out_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuse_hdfs.files.draft._PATIENCE_S", 0.01)
    (tmp_path / "store").mkdir()
    settings = Settings(Striping(UNIT, 3), small=1000, cache=8 * 2 * UNIT)
    volume = Volume(DirectoryStore(tmp_path / "store"), settings)
    tree, owner = Tree(volume, tmp_path), (os.getuid(), os.getgid())
    opened = []
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        made, _ = await tree.create(ROOT, f"file{number}", 0o600, owner, os.O_RDWR)
        opened.append(made.handle)
    for start, end in ((0, 900), (900, 2 * UNIT + 900), (2 * UNIT + 900, 3 * UNIT)):
        for number, handle in enumerate(opened):
            if number % 2 == 0 or end <= 900:  # the others stay small
                await tree.write(handle, start, DATA[number + start : number + end])
    for number, handle in enumerate(opened):
        await tree.flush(handle)
        await tree.release(handle)
        length = 900 if number % 2 else 3 * UNIT
        version = await volume.load(f"file{number}")
        assert (version.manifest is None) == (number % 2 == 1)
        found = await reader_of(volume, version, f"file{number}".__str__).read(0, version.size)
        assert found == DATA[number : number + length]
    assert await volume.drafted.take_within(2 * UNIT, 0.01)  # all of it was given back
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    await volume.close()


async def test_what_could_not_be_published_is_published_later(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    handle = await opened.open()
    await opened.tree.write(handle, 0, DATA)
    await opened.tree.flush(handle)
    await opened.tree.write(handle, 5 * UNIT + 3, b"changed")
    await opened.tree.write(handle, 3, b"changed")
    FullStore.left = 0
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            await opened.tree.flush(handle)
    assert await opened.content() == DATA
    FullStore.left = 1_000_000
    await opened.tree.flush(handle)
    model = bytearray(DATA)
    model[3:10] = model[5 * UNIT + 3 : 5 * UNIT + 10] = b"changed"
    assert await opened.content() == model
    assert opened.segments() == 2
