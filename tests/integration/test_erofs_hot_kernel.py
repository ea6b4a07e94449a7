"""The kernel reads files of a hot layout from the device that the layout says."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootseer.errors import HostError
from snapshotter.erofs.build import build
from snapshotter.erofs.hot import HotLayout
from snapshotter.erofs.mount import mount_erofs, umount
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.records import BLOCK, Tree
from tests.layer_strategies import (
    Node,
    data_area,
    data_size,
    directory,
    make_tree,
    numbers_of,
    regular,
    roots,
    walk,
)

pytestmark = pytest.mark.containers
OPTIONS = Options(uuid_of("sha256:0"))


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("hot")


def spoil(content: bytes, blocks: list[int]) -> bytes:
    """Return the data area with its hot blocks overwritten: who reads them there will notice."""
    area = np.frombuffer(content, dtype=np.uint8).reshape(-1, BLOCK).copy()
    area[blocks] = 0xEE
    return area.tobytes()


def gather(content: bytes, blocks: list[int]) -> bytes:
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, BLOCK)[blocks].tobytes()


@contextmanager
def mounted(
    root: Node, blocks: list[int], room: Path, *, via_loop: bool = False
) -> Iterator[tuple[Path, Tree, bytes]]:
    """Mount `root` in a hot layout whose data area lacks the hot blocks."""
    tree = make_tree(root)
    content = data_area(data_size(tree))
    meta, data, hot, target = (room / name for name in ("meta.erofs", "data", "hot", "mnt"))
    target.mkdir(exist_ok=True)
    for path in (meta, data, hot):
        path.unlink(missing_ok=True)
    layout = HotLayout(np.array(blocks, dtype=np.int64))
    meta.write_bytes(build(tree, len(content) // BLOCK, OPTIONS, layout))
    data.write_bytes(spoil(content, blocks))
    hot.write_bytes(gather(content, blocks))
    devices = [path for path, size in ((data, len(content)), (hot, len(blocks))) if size]
    mount_erofs(meta, target, *(devices or [None]), via_loop=via_loop)
    try:
        yield target, tree, content
    finally:
        umount(target)


def check_contents(root: Node, target: Path, tree: Tree, content: bytes) -> None:
    numbers = numbers_of(root)
    for path, node in walk(root):
        if node.size:
            start = int(tree.inodes.data[numbers[id(node)]])
            with open(os.fsencode(target) + path, "rb") as file:
                assert file.read() == content[start : start + node.size]


@st.composite
def hot_trees(draw):
    root = draw(roots())
    blocks = data_size(make_tree(root)) // BLOCK
    return root, draw(st.lists(st.integers(0, blocks - 1), unique=True)) if blocks else []


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=hot_trees())
def test_any_tree_with_any_hot_blocks_reads_as_it_was(room, drawn):
    root, blocks = drawn
    with mounted(root, blocks, room) as (target, tree, content):
        check_contents(root, target, tree, content)
        fsck(room, "meta.erofs", bool(content), bool(blocks))


def a_real_tree() -> tuple[Node, list[int]]:
    """Return a few hundred files, some large, and hot blocks all over them in random order."""
    chance = random.Random(5)
    children = {b"%d" % n: regular(chance.randrange(1, 40 * BLOCK)) for n in range(400)}
    children[b"large"] = regular(20 << 20)
    root = directory(children)
    count = data_size(make_tree(root)) // BLOCK
    return root, chance.sample(range(count), count // 10)


@pytest.mark.parametrize("via_loop", [False, True], ids=["file", "loop"])
def test_hot_blocks_come_from_the_hot_area_and_the_rest_from_the_data_area(room, via_loop):
    root, blocks = a_real_tree()
    with mounted(root, blocks, room, via_loop=via_loop) as (target, tree, content):
        check_contents(root, target, tree, content)
        with (target / "large").open("rb") as file:  # through mmap's path of single pages, too
            start = int(tree.inodes.data[numbers_of(root)[id(root.children[b"large"])]])
            for at in range(0, 20 << 20, 77 * BLOCK + 5):
                assert os.pread(file.fileno(), 100, at) == content[start + at : start + at + 100]


def fsck(room: Path, image: str, *devices: bool, extract: Path | None = None) -> None:
    names = [name for name, there in zip(("data", "hot"), devices, strict=True) if there]
    options = [f"--device={room / name}" for name in names]
    options += [f"--extract={extract}"] if extract else []
    done = subprocess.run(
        ["fsck.erofs", *options, room / image], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_fsck_extracts_what_was_meant(room, tmp_path):
    root, blocks = a_real_tree()
    with mounted(root, blocks, room) as (_, tree, content):
        out, meta = tmp_path / "out", (room / "meta.erofs").read_bytes()
        # fsck.erofs 1.5 reads unified addresses from the image itself, so give it both in one file.
        (room / "flat").write_bytes(meta + spoil(content, blocks))
        fsck(room, "flat", True, True, extract=out)
        check_contents(root, out, tree, content)


def test_a_mount_without_the_hot_area_is_refused(room):
    with mounted(directory({b"f": regular(BLOCK)}), [0], room):
        (room / "other").mkdir()
        with pytest.raises(HostError, match="cannot mount"):
            mount_erofs(room / "meta.erofs", room / "other", room / "data")
