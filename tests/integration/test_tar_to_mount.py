"""A tar goes through indexer, index file and metadata writer, and comes out of the kernel."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from isal import igzip

from snapshotter.erofs.build import build
from snapshotter.erofs.mount import mount_erofs, umount
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.format import decode, encode
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.layers.records import BLOCK

pytestmark = pytest.mark.containers


def source_tar(root: Path) -> bytes:
    """Return a tar of a directory made for the purpose, with what a layer can hold."""
    (root / "sub/deeper").mkdir(parents=True)
    (root / "sub/deeper/large").write_bytes(os.urandom(3_000_001))
    (root / "sub/text").write_bytes(b"text " * 5000)
    (root / "empty").touch()
    (root / "sub/hard").hardlink_to(root / "sub/text")
    (root / "link").symlink_to("sub/text")
    (root / "ünï").write_bytes(b"name")
    os.mkfifo(root / "fifo")
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (root / "sub/text").chmod(0o4755)
    os.utime(root / "sub/deeper/large", ns=(10**18 + 123_000_000_000,) * 2)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, str(path.relative_to(root)), recursive=False)
    return out.getvalue()


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """Describe everything below a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = path.readlink()
        found[str(path.relative_to(root))] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            int(status.st_mtime),
            status.st_nlink,
            status.st_rdev,
            content,
        )
    return found


@pytest.mark.parametrize("via_loop", [False, True], ids=["file", "loop"])
def test_a_layer_shows_the_tree_that_was_packed(tmp_path, via_loop):
    source, target, device = tmp_path / "source", tmp_path / "mnt", tmp_path / "data"
    source.mkdir()
    target.mkdir()
    blob = igzip.compress(source_tar(source))
    with device.open("wb") as area:

        def sink(offset: int, data: bytes) -> None:
            area.seek(offset)
            area.write(data)

        indexer = LayerIndexer(spacing=256 << 10, sink=sink)
        for at in range(0, len(blob), 100_000):
            indexer.feed(blob[at : at + 100_000])
        file = encode(indexer.finish().index)
        index = decode(file)
        area.truncate(index.data_size)
    meta = tmp_path / "meta.erofs"
    options = Options(uuid_of(index.layer_digest), bottom=True)
    meta.write_bytes(build(index.tree, index.data_size // BLOCK, options))
    mount_erofs(meta, target, device, via_loop=via_loop)
    try:
        assert facts(target) == facts(source)
    finally:
        umount(target)
