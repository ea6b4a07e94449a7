"""How much of a hot area was read: what the kernel tells is what was done."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
from test_hot_start import INDEX, contents, indexed, layer_of

from snapshotter.erofs.build import build
from snapshotter.erofs.hot import HotLayout
from snapshotter.erofs.mount import bdi_directory, mount_erofs, umount
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.format import encode
from snapshotter.layers.records import BLOCK, I64
from snapshotter.limits import DEFAULT
from snapshotter.starts.used import HotMount, used_blocks, used_blocks_of_all

pytestmark = pytest.mark.containers


@dataclass
class Mounted:
    """A layer in a hot layout, mounted without read-ahead; all its blocks are in the hot area."""

    mount: HotMount
    files: dict[str, bytes]

    def used(self) -> int:
        return used_blocks(self.mount, DEFAULT)

    def hot(self, blocks: I64) -> None:
        """Say that only these are hot, whatever is mounted."""
        self.mount.blocks.write_bytes(blocks.astype("<i8").tobytes())


@pytest.fixture
def layer(tmp_path: Path) -> Iterator[Mounted]:
    files = contents(Random(4))
    index, area = indexed(layer_of(files))
    every = np.arange(index.data_size // BLOCK)
    mount = HotMount(tmp_path / "index", tmp_path / "blocks", tmp_path / "mnt")
    mount.index.write_bytes(encode(index))
    mount.target.mkdir()
    image = build(index.tree, len(every), Options(uuid_of(INDEX)), HotLayout(every[::-1].copy()))
    (tmp_path / "meta").write_bytes(image)
    (tmp_path / "data").write_bytes(bytes(len(area)))
    turned = np.frombuffer(area, dtype=np.uint8).reshape(-1, BLOCK)[::-1]
    (tmp_path / "hot").write_bytes(turned.tobytes())
    mount_erofs(tmp_path / "meta", mount.target, tmp_path / "data", tmp_path / "hot")
    try:
        (bdi_directory(mount.target) / "read_ahead_kb").write_text("0")
        made = Mounted(mount, files)
        made.hot(every)
        yield made
    finally:
        umount(mount.target)


def test_exactly_what_was_read_counts_however_it_was_read(layer: Mounted) -> None:
    large, small = layer.mount.target / "usr/lib/l0.so", layer.mount.target / "usr/lib/m3.py"
    assert layer.used() == 0
    assert small.read_bytes() == layer.files["usr/lib/m3.py"]
    expected = -(-small.stat().st_size // BLOCK)
    assert layer.used() == expected
    with large.open("rb", buffering=0) as file:
        file.seek(10 * BLOCK + 5)
        file.read(2 * BLOCK)  # touches three
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
            assert view[100 * BLOCK] == layer.files["usr/lib/l0.so"][100 * BLOCK]
    assert layer.used() == expected + 4
    large.read_bytes()
    assert layer.used() == expected + -(-large.stat().st_size // BLOCK)


def test_blocks_that_are_not_hot_do_not_count(layer: Mounted) -> None:
    every = np.fromfile(layer.mount.blocks, dtype="<i8")
    for path in (layer.mount.target / "usr/lib").iterdir():
        path.read_bytes()
    assert layer.used() == len(every)
    layer.hot(every[::3])
    assert layer.used() == len(every[::3])


def test_what_cannot_be_asked_is_not_known(layer: Mounted, tmp_path: Path) -> None:
    elsewhere = HotMount(layer.mount.index, layer.mount.blocks, tmp_path / "nowhere")
    known, unknown = used_blocks_of_all([layer.mount, elsewhere], DEFAULT)
    assert known == 0
    assert "No such file" in str(unknown)
