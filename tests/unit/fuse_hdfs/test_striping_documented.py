"""docs/striping.md describes the files: a reader written from it finds what was written."""

import os
import random
from pathlib import Path

import pytest
from striped_file_reader import read_striped

from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.striping.manifest import MAGIC
from fuse_hdfs.vfs.nodes import ROOT
from fuse_hdfs.vfs.tree import Change, Tree

DATA = random.Random(9).randbytes(70_001)


@pytest.mark.parametrize(
    "writes",
    [
        [(0, DATA[:100])],
        [(0, DATA)],
        [(0, MAGIC + DATA[:50])],
        [(0, DATA), (5000, b"changed"), (200_000, b"far behind")],
        [(4096 * 3, DATA), (70_000, DATA[:9000])],
    ],
)
async def test_a_reader_written_from_the_document_agrees(tmp_path: Path, writes) -> None:
    volume = Volume(DirectoryStore(tmp_path), Settings(Striping(4096, 3), small=1000))
    tree = Tree(volume, tmp_path)
    owner = (os.getuid(), os.getgid())
    opened, attributes = await tree.create(ROOT, "file", 0o600, owner, os.O_RDWR)
    model = bytearray()
    for offset, content in writes:
        await tree.write(opened.handle, offset, content)
        await tree.flush(opened.handle)
        model.extend(bytes(max(0, offset + len(content) - len(model))))
        model[offset : offset + len(content)] = content
        assert read_striped(tmp_path, "file") == model
    await tree.change(attributes.inode, Change(size=50))
    await tree.change(attributes.inode, Change(size=30_000))
    await tree.release(opened.handle)
    assert read_striped(tmp_path, "file") == model[:50].ljust(30_000, b"\0")
    await volume.close()
