"""Everything that must hold of a layer index, whoever made it.

Called by `format` on every index it reads or writes; `check_tree` also suits a tree of our own
making before it becomes EROFS metadata. Vectorised: 27,000 entries take some 10 ms.
"""

from snapshotter.layers.checks import refuse
from snapshotter.layers.records import BlockMap, LayerIndex
from snapshotter.layers.validate_chunks import check_chunks, check_digest, check_extents
from snapshotter.layers.validate_tree import check_tree
from snapshotter.limits import DEFAULT, Limits

__all__ = ["check_index", "check_map", "check_tree"]


def check_map(blocks: BlockMap | LayerIndex, limits: Limits = DEFAULT) -> None:
    """Raise `CorruptError`, naming section and field, unless chunks and extents are valid."""
    check_digest("layer_digest", blocks.layer_digest)
    if len(blocks.merkle_root) != 32:
        raise refuse("merkle_root", f"is {len(blocks.merkle_root)} bytes, expected 32")
    check_chunks(blocks.chunks, blocks.layer_size, limits)
    check_extents(blocks.extents, blocks.chunks, limits)
    if blocks.windows_digest:
        check_digest("windows_digest", blocks.windows_digest)
    elif blocks.chunks.window[-1] > 0:
        raise refuse("windows_digest", "is missing: chunks have windows")


def check_index(index: LayerIndex, limits: Limits = DEFAULT) -> None:
    """Raise `CorruptError`, naming section and field, unless the whole index is valid."""
    check_digest("diff_id", index.diff_id)
    check_map(index, limits)
    check_tree(index.tree, index.data_size, limits)
