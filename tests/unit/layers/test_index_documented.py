"""The document describes the file: a reader written from it finds what was written."""

from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, given, settings
from index_file_reader import read

from snapshotter.layers.format import encode
from tests.layer_strategies import indexes


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(indexes())
def test_a_reader_written_from_the_document_agrees(index):
    found = read(encode(index))
    tree, chunks = index.tree, index.chunks
    for name in ("mode", "uid", "gid", "mtime_s", "mtime_ns", "rdev", "flags", "xattrs"):
        assert found[name] == getattr(tree.inodes, name).tolist()
    assert found["size"] == tree.inodes.size.tolist()
    assert found["data"] == tree.inodes.data.tolist()
    assert found["parent"] == tree.parent.tolist()
    assert found["child"] == tree.child.tolist()
    ends = [0, *tree.name_end.tolist()]
    assert found["names"] == [tree.names[a:b] for a, b in pairwise(ends)]
    assert found["targets"] == tree.targets
    assert found["xattr_sets"] == tree.xattr_sets
    columns = (index.extents.data, index.extents.tar, index.extents.length)
    assert found["extents"] == list(zip(*(column.tolist() for column in columns), strict=True))
    lengths = [np.diff(edges) for edges in (chunks.blob, chunks.tar, chunks.data, chunks.window)]
    columns = [*lengths, chunks.codec, chunks.skip, chunks.bits]
    digests = [row.tobytes() for row in chunks.digest]
    rows = zip(*(column.tolist() for column in columns), digests, strict=True)
    assert found["chunks"] == list(rows)
    assert found["proof"] == chunks.proof
    assert found["layer_size"] == index.layer_size
    assert found["merkle"] == index.merkle_root
    heads = (found["layer"], found["diff"], found["windows"])
    written = (index.layer_digest, index.diff_id, index.windows_digest)
    assert heads == tuple(digest.removeprefix("sha256:") for digest in written)
