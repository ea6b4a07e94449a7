"""Random calls on a tree do what they do to ordinary files: a state machine against a model."""

import asyncio
import contextlib
import errno
import os
import random
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.striping.layout import place_of
from fuse_hdfs.striping.manifest import MAGIC
from fuse_hdfs.vfs.nodes import ROOT
from fuse_hdfs.vfs.tree import Change, Tree

UNIT = 4096
SETTINGS = Settings(Striping(UNIT, 3, 1), small=6000, cache=20 * UNIT, ahead=8 * UNIT)
NAMES = st.sampled_from(["a", "b", "c"])
OFFSETS = st.integers(0, 60_000) | st.sampled_from([0, UNIT, 2 * UNIT, 5 * UNIT])
LENGTHS = st.sampled_from([1, 100, UNIT, 3 * UNIT, 10_000, 5 * UNIT])


class Files(RuleBasedStateMachine):
    """Names and handles of a tree, and what each must hold."""

    settings = SETTINGS

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        (self.directory / "spool").mkdir()
        (self.directory / "store").mkdir()
        self.runner = asyncio.Runner()
        self.random = random.Random(7)
        self.files: dict[str, bytearray] = {}
        self.handles: dict[int, bytearray] = {}
        self.mount()

    def mount(self) -> None:
        store = DirectoryStore(self.directory / "store")
        self.volume = Volume(store, self.settings)
        self.tree = Tree(self.volume, self.directory / "spool")

    def do(self, work):
        return self.runner.run(work)

    def some(self, length: int) -> bytes:
        return self.random.randbytes(length)

    @rule(name=NAMES, exclusive=st.booleans())
    def create(self, name, exclusive):
        flags = os.O_RDWR | os.O_CREAT | (os.O_EXCL if exclusive else 0)
        work = self.tree.create(ROOT, name, 0o640, (os.getuid(), os.getgid()), flags)
        if exclusive and name in self.files:
            with pytest.raises(FileExistsError):
                self.do(work)
            return
        opened, _ = self.do(work)
        self.handles[opened.handle] = self.files.setdefault(name, bytearray())

    @rule(name=NAMES, truncate=st.booleans())
    def open(self, name, truncate):
        if name not in self.files:
            with pytest.raises(FileNotFoundError):
                self.do(self.tree.lookup(ROOT, name))
            return

        async def opened():
            inode = (await self.tree.lookup(ROOT, name)).inode
            return await self.tree.open(inode, os.O_RDWR | (os.O_TRUNC if truncate else 0))

        self.handles[self.do(opened()).handle] = self.files[name]
        if truncate:
            self.files[name].clear()

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), offset=OFFSETS, length=LENGTHS)
    def write(self, data, offset, length):
        handle = data.draw(st.sampled_from(sorted(self.handles)))
        self._write(handle, offset, self.some(length))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), length=LENGTHS, times=st.integers(1, 5))
    def append(self, data, length, times):
        handle = data.draw(st.sampled_from(sorted(self.handles)))
        for _ in range(times):
            self._write(handle, len(self.handles[handle]), self.some(length))

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def write_what_looks_like_a_manifest(self, data):
        handle = data.draw(st.sampled_from(sorted(self.handles)))
        self._write(handle, 0, MAGIC + bytes(100))

    def _write(self, handle: int, offset: int, content: bytes) -> None:
        self.do(self.tree.write(handle, offset, content))
        model = self.handles[handle]
        model.extend(bytes(max(0, offset + len(content) - len(model))))
        model[offset : offset + len(content)] = content

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), offset=OFFSETS, length=LENGTHS)
    def read(self, data, offset, length):
        handle = data.draw(st.sampled_from(sorted(self.handles)))
        found = self.do(self.tree.read(handle, offset, length))
        assert found == self.handles[handle][offset : offset + length]

    @rule(name=NAMES, size=OFFSETS)
    def truncate(self, name, size):
        if name not in self.files:
            return

        async def truncated():
            inode = (await self.tree.lookup(ROOT, name)).inode
            return await self.tree.change(inode, Change(size=size))

        assert self.do(truncated()).size == size
        model = self.files[name]
        del model[size:]
        model.extend(bytes(size - len(model)))

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def flush(self, data):
        self.do(self.tree.flush(data.draw(st.sampled_from(sorted(self.handles)))))

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def close(self, data):
        self._close(data.draw(st.sampled_from(sorted(self.handles))))

    def _close(self, handle):
        async def closed():
            await self.tree.flush(handle)
            await self.tree.release(handle)

        self.do(closed())
        del self.handles[handle]

    def before_it_goes(self, name):
        """Files are taken away while they are open."""

    @rule(name=NAMES)
    def unlink(self, name):
        if name in self.files:
            self.before_it_goes(name)
            self.do(self.tree.remove(ROOT, name))
            del self.files[name]
        else:
            with pytest.raises(FileNotFoundError):
                self.do(self.tree.remove(ROOT, name))

    @rule(old=NAMES, new=NAMES, replace=st.booleans())
    def rename(self, old, new, replace):
        if old in self.files and new in self.files and old != new and replace:
            self.before_it_goes(new)
        work = self.tree.rename(ROOT, old, ROOT, new, replace=replace)
        if old not in self.files or (new in self.files and not replace):
            with pytest.raises(OSError, match="Errno") as caught:
                self.do(work)
            assert caught.value.errno in (errno.ENOENT, errno.EEXIST)
            return
        self.do(work)
        self.files[new] = self.files[old]
        if old != new:
            del self.files[old]

    def unmount(self):
        self.do(self.tree.close())
        self.do(self.volume.close())

    @rule()
    def remount(self):
        self.unmount()
        self.handles.clear()
        self.mount()

    @invariant()
    def names_and_sizes_agree(self):
        found = {entry.status.name for entry in self.do(self.tree.list(ROOT))}
        assert found == set(self.files)
        for name, model in self.files.items():
            assert self.do(self.tree.lookup(ROOT, name)).size == len(model)

    def teardown(self):
        # What a failed example left open would make tests fail that have nothing to do with it.
        with contextlib.ExitStack() as finally_:
            finally_.callback(shutil.rmtree, self.directory)
            finally_.callback(self.runner.close)
            finally_.callback(self.unmount)
            self.agrees_after_a_remount()

    def agrees_after_a_remount(self):
        self.remount()
        self.names_and_sizes_agree()
        for name, model in self.files.items():
            version = self.do(self.volume.load(name))
            assert version.size == len(model)
            self.open(name, truncate=False)
        for handle, model in self.handles.items():
            assert self.do(self.tree.read(handle, 0, 1 << 20)) == model
        self.no_orphans()

    def no_orphans(self):
        """Whatever was not removed on the way is named by a manifest."""
        named = set()
        for name in self.files:
            manifest = self.do(self.volume.load(name)).manifest
            named |= {one.id for one in manifest.segments} if manifest else set()
        store = self.directory / "store/.bootseer"
        assert {path.name for path in store.glob("segments/*/*")} <= named
        assert not list(store.glob("new/*"))


class PlainFiles(Files):
    """The same where new files have one stripe, which is a plain file."""

    settings = replace(SETTINGS, striping=Striping(UNIT, 1, 1))

    def before_it_goes(self, name):
        """Nothing but its name leads to a large plain file."""
        for handle in [one for one, model in self.handles.items() if model is self.files[name]]:
            self._close(handle)

    @invariant()
    def all_are_plain(self):
        for name in self.files:
            version = self.do(self.volume.load(name))
            if version.manifest is not None:
                content = self.do(
                    self.volume.contents.unit(place_of(version.manifest.segments[0], 0, UNIT))
                )
                assert content.startswith(MAGIC)  # it would be taken for a manifest


EXAMPLES = int(os.environ.get("BOOTSEER_MODEL_EXAMPLES", "40"))
Files.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
PlainFiles.TestCase.settings = settings(
    max_examples=EXAMPLES // 2, stateful_step_count=40, deadline=None
)
test_random_calls_do_what_they_do_to_ordinary_files = Files.TestCase
test_random_calls_do_the_same_where_files_are_plain = PlainFiles.TestCase
