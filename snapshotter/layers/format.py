"""The layer index file: `LayerIndex` <-> bytes. The layout is in `docs/formats/layer-index.md`.

What follows from something else is not stored: link counts, the numbers of newly named inodes, and
sizes and places of files that one extent describes. The bytes are untrusted: every count is
compared with the limits before anything of that size is allocated, and what was read is validated
as a whole.
"""

from snapshotter.layers import sections
from snapshotter.layers.index_reader import IndexReader
from snapshotter.layers.index_writer import is_foreign, raw_sections
from snapshotter.layers.records import BlockMap, LayerIndex
from snapshotter.layers.validate import check_index, check_map
from snapshotter.limits import DEFAULT, Limits


def encode(index: LayerIndex, limits: Limits = DEFAULT, *, compressed: bool = True) -> bytes:
    """Return the file for an index. One version of zstd always gives the same bytes.

    What stays on this node need not be `compressed`. Raises `CorruptError` when the index is not
    valid: what cannot be read back is not written.
    """
    check_index(index, limits)
    version = sections.FOREIGN if is_foreign(index) else sections.VERSION
    return sections.pack(raw_sections(index), version, compressed=compressed)


def decode(data: bytes | memoryview, limits: Limits = DEFAULT) -> LayerIndex:
    """Return the index that a file holds, validated. Raises `CorruptError` and nothing else."""
    reader = IndexReader(memoryview(data), limits)
    extents = reader.extents()
    chunks = reader.chunks()
    index = LayerIndex(
        layer_digest=reader.layer_digest,
        layer_size=reader.layer_size,
        diff_id=reader.diff_id,
        merkle_root=reader.merkle_root,
        windows_digest=reader.windows_digest,
        tree=reader.tree(extents),
        extents=extents,
        chunks=chunks,
    )
    check_index(index, limits)
    return index


def decode_map(data: bytes | memoryview, limits: Limits = DEFAULT) -> BlockMap:
    """Return what serving the data area needs, validated; the tree's sections stay untouched.

    Raises `CorruptError` and nothing else. `data` may be a memory-mapped file.
    """
    reader = IndexReader(memoryview(data), limits)
    blocks = BlockMap(
        layer_digest=reader.layer_digest,
        layer_size=reader.layer_size,
        merkle_root=reader.merkle_root,
        windows_digest=reader.windows_digest,
        extents=reader.extents(),
        chunks=reader.chunks(),
    )
    check_map(blocks, limits)
    return blocks
