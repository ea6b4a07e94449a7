"""Random system calls on a mount of a real HDFS do what they do on an ordinary file system.

`BOOTSEER_MODEL_EXAMPLES=250` makes it 10,000 of them.
"""

import mmap
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from checkpoint_mount import checkpoint_mount
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from benchmarks.lab.hdfs import Hdfs

pytestmark = pytest.mark.containers

UNIT = 4096
CONFIG = """\
log: {{level: info}}
hdfs:
  stripe_unit: 4KiB
  stripe_count: 3
  small: 6000
  cache: 16MiB
  ahead: 64KiB
  timeout: 30
  spool: {spool}
"""
NAMES = st.sampled_from(["a", "b", "sub/a", "sub/b"])
DIRECTORIES = st.sampled_from(["sub", "a", "other"])
OFFSETS = st.integers(0, 60_000) | st.sampled_from([0, UNIT, 2 * UNIT, 5 * UNIT])
LENGTHS = st.sampled_from([1, 100, UNIT, 3 * UNIT, 10_000, 5 * UNIT])
FLAGS = st.sampled_from(
    [
        os.O_RDWR,
        os.O_RDWR | os.O_CREAT,
        os.O_RDWR | os.O_CREAT | os.O_EXCL,
        os.O_RDWR | os.O_CREAT | os.O_TRUNC,
        os.O_RDWR | os.O_CREAT | os.O_APPEND,
    ]
)
EXAMPLES = int(os.environ.get("BOOTSEER_MODEL_EXAMPLES", "6"))


def outcome(work: Callable[..., object], *arguments: object) -> object:
    """Return what a call returns, or the errno of its error."""
    try:
        return work(*arguments)
    except OSError as error:
        return f"errno {error.errno}"


class Twice(RuleBasedStateMachine):
    """Does everything in a directory of the mount and in one of a local file system."""

    where: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(11)
        self.roots = (
            Path(tempfile.mkdtemp(dir=self.where)),
            Path(tempfile.mkdtemp(dir="/dev/shm")),
        )
        self.handles: list[tuple[int, int]] = []

    def both(self, work: Callable[..., object], *names: str) -> object:
        """Do something with names in both; return the outcome, which is the same."""
        ours, theirs = (outcome(work, *(root / name for name in names)) for root in self.roots)
        assert ours == theirs, (work, names)
        return ours

    def of_both(self, data: st.DataObject, work: Callable[[int], object]) -> None:
        """Do something with both copies of an open file."""
        ours, theirs = (outcome(work, one) for one in data.draw(st.sampled_from(self.handles)))
        assert ours == theirs

    @rule(name=NAMES, flags=FLAGS)
    def open(self, name: str, flags: int) -> None:
        found = []

        def opened(path: Path) -> None:
            found.append(os.open(path, flags, 0o640))

        if self.both(opened, name) is None:
            self.handles.append((found[0], found[1]))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), offset=OFFSETS, length=LENGTHS)
    def write(self, data: st.DataObject, offset: int, length: int) -> None:
        content = self.random.randbytes(length)
        self.of_both(data, lambda handle: os.pwrite(handle, content, offset))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), length=LENGTHS, times=st.integers(1, 5))
    def write_on(self, data: st.DataObject, length: int, times: int) -> None:
        content = self.random.randbytes(length)
        self.of_both(data, lambda handle: [os.write(handle, content) for _ in range(times)])

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), offset=OFFSETS, length=LENGTHS)
    def read(self, data: st.DataObject, offset: int, length: int) -> None:
        self.of_both(data, lambda handle: os.pread(handle, length, offset))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), at=st.integers(0, 40_000))
    def map(self, data: st.DataObject, at: int) -> None:
        def mapped(handle: int) -> bytes:
            size = os.fstat(handle).st_size
            if not size:
                return b""
            with mmap.mmap(handle, size) as memory:
                memory[at % size] = at & 0xFF
                memory.flush()
                return memory[:]

        self.of_both(data, mapped)

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), size=OFFSETS)
    def resize(self, data: st.DataObject, size: int) -> None:
        self.of_both(data, lambda handle: os.ftruncate(handle, size))

    @rule(name=NAMES, size=OFFSETS)
    def truncate(self, name: str, size: int) -> None:
        self.both(lambda path: os.truncate(path, size), name)

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def sync(self, data: st.DataObject) -> None:
        self.of_both(data, os.fsync)

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(self.handles))
        self.handles.remove(pair)
        for one in pair:
            os.close(one)

    @rule(name=NAMES)
    def unlink(self, name: str) -> None:
        self.both(os.unlink, name)

    @rule(old=NAMES | DIRECTORIES, new=NAMES | DIRECTORIES)
    def rename(self, old: str, new: str) -> None:
        self.both(os.rename, old, new)

    @rule(name=DIRECTORIES)
    def make_directory(self, name: str) -> None:
        self.both(os.mkdir, name)

    @rule(name=DIRECTORIES)
    def remove_directory(self, name: str) -> None:
        self.both(os.rmdir, name)

    @rule(name=NAMES, mode=st.sampled_from([0o600, 0o644, 0o755]))
    def set_mode(self, name: str, mode: int) -> None:
        self.both(lambda path: path.chmod(mode), name)

    @invariant()
    def trees_agree(self) -> None:
        ours, theirs = (tree(root) for root in self.roots)
        assert ours == theirs

    def teardown(self) -> None:
        try:
            while self.handles:
                for one in self.handles.pop():
                    os.close(one)
            ours, theirs = (contents(root) for root in self.roots)
            assert ours == theirs
        finally:
            for root in self.roots:
                shutil.rmtree(root)


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Return mode and size of everything below a directory; of directories, no size."""
    found = {}
    for path in root.rglob("*"):
        status = path.lstat()
        size = 0 if path.is_dir() else status.st_size
        found[str(path.relative_to(root))] = (status.st_mode, size)
    return found


def contents(root: Path) -> dict[str, bytes]:
    """Return what all files below a directory hold."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def mnt(hdfs: Hdfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("model")
    with checkpoint_mount(hdfs.address("", "root"), directory, CONFIG) as mount:
        yield mount.path


def test_random_system_calls_do_what_they_do_elsewhere(mnt: Path) -> None:
    machine = type("OnMount", (Twice,), {"where": mnt})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
