"""A valid `LayerIndex` -> the raw sections of its file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snapshotter.layers.columns import pack
from snapshotter.layers.files import FILES, split_files
from snapshotter.layers.index_layout import (
    CHUNKS,
    DIGEST,
    EXTENTS,
    INODES,
    META,
    REGULAR,
    ROWS,
    TAR_BLOCK,
    XATTR_ENTRIES,
    XATTR_SETS,
    Kind,
    gaps,
)
from snapshotter.layers.links import first_names
from snapshotter.layers.records import BLOCK, ChunkTable, Extents, LayerIndex, Proof, Tree, XattrSet


def raw_sections(index: LayerIndex) -> dict[int, bytes]:
    """Return every section of the file, in the order in which they are stored."""
    tree = index.tree
    foreign: dict[int, bytes] = {}
    if is_foreign(index):
        foreign[Kind.PROOF] = bytes((index.chunks.proof,))
    return {
        Kind.META: _pack_meta(index),
        Kind.EXTENTS: _pack_extents(index.extents),
        Kind.CHUNKS: _pack_chunks(index.chunks),
        Kind.INODES: _pack_inodes(tree),
        Kind.FILES: pack(FILES, split_files(tree.inodes, index.extents)),
        Kind.ROWS: _pack_rows(tree),
        Kind.NAMES: tree.names + tree.targets,
        Kind.XATTRS: _pack_xattrs(tree.xattr_sets),
        **foreign,
    }


def is_foreign(index: LayerIndex) -> bool:
    """Say whether it has what only an index has that was made of another format's."""
    return index.chunks.proof != Proof.DATA


def _pack_meta(index: LayerIndex) -> bytes:
    tree = index.tree
    entries = [entry for entries in tree.xattr_sets for entry in entries]
    counts = (
        len(tree.inodes.mode),
        int(np.count_nonzero(tree.inodes.mode >> 12 == REGULAR)),
        len(tree.child),
        len(tree.names),
        len(tree.targets),
        len(tree.xattr_sets),
        len(entries),
        sum(len(name) + len(value) for name, value in entries),
        len(index.extents.data),
        len(index.chunks.codec),
    )
    digests = (_raw(index.layer_digest), _raw(index.diff_id), index.merkle_root)
    return META.pack(*digests, _raw(index.windows_digest), index.layer_size, *counts)


def _pack_inodes(tree: Tree) -> bytes:
    inodes = tree.inodes
    values: dict[str, npt.NDArray[Any]] = {
        column.name: getattr(inodes, column.name) for column in INODES[:-1]
    }
    values["target"] = np.where(inodes.mode >> 12 == REGULAR, 0, inodes.size)
    return pack(INODES, values)


def _pack_rows(tree: Tree) -> bytes:
    link = np.where(first_names(tree.child), 0, tree.child)
    length = np.diff(tree.name_end, prepend=np.zeros(1, dtype=np.uint64))
    return pack(ROWS, {"parent": tree.parent, "link": link, "length": length})


def _pack_xattrs(sets: Sequence[XattrSet]) -> bytes:
    entries = [entry for entries in sets for entry in entries]
    counts = np.array([len(entries) for entries in sets])
    names = np.array([len(name) for name, _ in entries], dtype=np.uint16)
    values = np.array([len(value) for _, value in entries], dtype=np.uint32)
    packed = pack(XATTR_SETS, {"entries": counts})
    packed += pack(XATTR_ENTRIES, {"name": names, "value": values})
    return packed + b"".join(part for entry in entries for part in entry)


def _pack_extents(extents: Extents) -> bytes:
    values = {
        "data_gap": gaps(extents.data, extents.length, BLOCK),
        "tar_gap": gaps(extents.tar, extents.length, TAR_BLOCK),
        "length": extents.length,
    }
    return pack(EXTENTS, values)


def _pack_chunks(chunks: ChunkTable) -> bytes:
    values = {name: np.diff(getattr(chunks, name)) for name in ("blob", "tar", "data", "window")}
    values |= {name: getattr(chunks, name) for name in ("codec", "skip", "bits")}
    return pack(CHUNKS, values) + chunks.digest.tobytes()


def _raw(digest: str) -> bytes:
    """Return the 32 bytes of a digest; NULs for none."""
    return bytes.fromhex(digest.removeprefix("sha256:")) if digest else bytes(DIGEST)
