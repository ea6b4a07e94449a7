"""Tar layers: from an uncompressed stream to a tree and the extents of its files.

`TarIndexer` is the way in. Inside, bytes pass `reader` (with `header`, `pax`, `sparse`, `fields`),
which yields `member.Member`; `apply` (with `resolve`, `attributes`, `acl`, `nodes`) turns members
into a tree as containerd would; `data_area` places contents; `flatten` writes the tree down.
"""

from snapshotter.layers.tar.apply import TreeBuilder
from snapshotter.layers.tar.data_area import DataArea, Segment
from snapshotter.layers.tar.indexer import TarIndexer
from snapshotter.layers.tar.member import Kind, Member, Run
from snapshotter.layers.tar.reader import TarReader

__all__ = [
    "DataArea",
    "Kind",
    "Member",
    "Run",
    "Segment",
    "TarIndexer",
    "TarReader",
    "TreeBuilder",
]
