"""Index files of version 1 are still read: nodes keep theirs over an upgrade, and registries do.

`golden/index-v1` was written from `LAYER` when there was no other version.
"""

import gzip
import tarfile
from pathlib import Path

from snapshotter.layers.format import decode, encode
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.serving.audit import same
from tests.image_maker import file_member, tar_of

GOLDEN = Path(__file__).parent / "golden" / "index-v1"
LAYER = gzip.compress(
    tar_of(
        [
            file_member("d", type=tarfile.DIRTYPE, mode=0o1755, mtime=1_700_000_000, uid=7),
            file_member("d/file", bytes(range(256)) * 3000, mode=0o4711),
            file_member("d/empty"),
            file_member("d/hard", type=tarfile.LNKTYPE, linkname="d/file"),
            file_member("link", type=tarfile.SYMTYPE, linkname="d/file"),
            file_member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
            file_member(".wh.gone"),
            file_member("opaque/.wh..wh..opq"),
            file_member("tagged", b"x", pax_headers={"SCHILY.xattr.user.a": "b"}),
        ]
    ),
    mtime=0,
)


def test_an_index_of_version_1_says_what_one_of_today_does() -> None:
    indexer = LayerIndexer(spacing=64 << 10)
    indexer.feed(LAYER)
    today = indexer.finish().index
    kept = decode(GOLDEN.read_bytes())
    assert same(kept.tree, today.tree)
    assert same(kept.extents, today.extents)
    assert kept.merkle_root == today.merkle_root
    assert (kept.layer_digest, kept.diff_id) == (today.layer_digest, today.diff_id)


def test_what_is_published_is_of_version_1() -> None:
    kept = decode(GOLDEN.read_bytes())
    assert encode(kept)[8:12] == b"\x01\0\0\0"
