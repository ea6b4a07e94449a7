"""From touches to a mount whose hot blocks came out of a pack, all formats in between."""

import gzip
import io
import tarfile
from pathlib import Path
from random import Random

import numpy as np
import pytest

from snapshotter.erofs.build import build
from snapshotter.erofs.hot import HotLayout
from snapshotter.erofs.mount import mount_erofs, umount
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.hot.hashtree import tree_of_area
from snapshotter.hot.merge import merge
from snapshotter.hot.pack import build_pack
from snapshotter.hot.record import HotLayer, Record, blocks_of
from snapshotter.hot.record_format import decode, encode
from snapshotter.hot.recorder import Recorder, RecordingSubject
from snapshotter.hot.unpack import Expected, PackStream
from snapshotter.layers.records import BLOCK
from tests.indexed_layer import indexed

pytestmark = pytest.mark.containers
INDEX = "sha256:" + "1" * 64


def contents(chance: Random) -> dict[str, bytes]:
    """Files as they are in a layer: many small ones, a few large ones, some text."""
    files = {f"usr/lib/m{n}.py": b"import m%d\n" % n * chance.randrange(1, 900) for n in range(120)}
    return files | {f"usr/lib/l{n}.so": chance.randbytes(3_000_000 + n) for n in range(3)}


def layer_of(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(target.getvalue(), 1)


def one_start(layer: HotLayer, chance: Random, created: int) -> Record:
    """Return the record of a start that touches the same tenth of the layer and a few by chance."""
    subject = RecordingSubject("sha256:" + "2" * 64, "train", created, "6", "x86_64", (layer,))
    recorder, same = Recorder(subject, 0.0), Random(1)
    for step in range(300):
        block = (same if step % 20 else chance).randrange(layer.blocks)
        recorder.touch(step / 100, 0, block * BLOCK + 100, 2 * BLOCK)
    recorder.stop(3.0)
    return recorder.record(3.0)


def test_a_container_reads_its_hot_blocks_out_of_a_pack(tmp_path: Path) -> None:
    files = contents(Random(4))
    index, area = indexed(layer_of(files))
    layer = HotLayer(index.layer_digest, INDEX, index.data_size)
    runs = [encode(one_start(layer, Random(n), n)) for n in range(4)]
    merged = merge(map(decode, runs))
    hot = blocks_of(merged, layer)
    assert 0 < len(hot) < layer.blocks

    tree = tree_of_area(lambda at, size: area[at : at + size], len(area))
    pack = build_pack(merged, lambda _, at, size: area[at : at + size], {0: tree})
    stream = PackStream({index.layer_digest: Expected(index.merkle_root, index.data_size)})
    stream.receive(pack)
    with (tmp_path / "hot").open("wb") as target:
        while (frame := stream.next_frame()) is not None:
            for part in frame:
                target.seek(part.position * BLOCK)
                target.write(part.data)
    assert stream.done

    image = build(index.tree, layer.blocks, Options(uuid_of(INDEX)), HotLayout(hot))
    (tmp_path / "meta").write_bytes(image)
    cold = np.frombuffer(area, dtype=np.uint8).reshape(-1, BLOCK).copy()
    cold[hot] = 0xEE  # whoever reads a hot block from the data area gets this
    (tmp_path / "data").write_bytes(cold.tobytes())
    (tmp_path / "mnt").mkdir()
    mount_erofs(tmp_path / "meta", tmp_path / "mnt", tmp_path / "data", tmp_path / "hot")
    try:
        for name, content in files.items():
            assert (tmp_path / "mnt" / name).read_bytes() == content
    finally:
        umount(tmp_path / "mnt")
