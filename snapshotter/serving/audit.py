"""The check of the whole: does the index describe the layer that the manifest names?

Every chunk was checked against the index, but the index is somebody's word. Once all compressed
bytes of a layer are at hand, its digest is computed and the index is derived again from the bytes:
both must be what they were said to be. Runs in a worker process: see `workers`.

An index that was made of another format's table is compared in what the table says: the tree, and
the contents, by the Merkle root of the data area that came in by it.
"""

import errno
import hashlib
import os
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bootseer.errors import CorruptError
from bootseer.merkle import MerkleTree
from snapshotter.layers.format import decode
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.layers.records import BLOCK, Inodes, LayerIndex, Proof
from snapshotter.limits import Limits

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Audited:
    """What became of a check."""

    problem: str
    """Why the index does not describe the layer; empty if it does."""
    merkle_root: str = ""
    """Of the data area, in hex, if it does."""


def audit(blob: Path, index: Path, data: Path, limits: Limits) -> Audited:
    """Check an index against the layer in `blob`; `data` is the data area that came in by it."""
    claimed = decode(index.read_bytes(), limits)
    indexer = LayerIndexer(limits=limits, windows=False)
    digest = hashlib.sha256()
    try:
        with blob.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                indexer.feed(piece)
        derived = indexer.finish().index
    except CorruptError as error:
        return Audited(f"the layer's bytes do not parse: {error.message}")
    found = f"sha256:{digest.hexdigest()}"
    if found != claimed.layer_digest:
        return Audited(f"its chunks are from a layer with digest {found}")
    if claimed.chunks.proof == Proof.DATA:
        problem = _compare(derived, claimed)
    else:
        problem = _compare_foreign(derived, claimed, data)
    return Audited(problem, "" if problem else derived.merkle_root.hex())


def _compare(derived: LayerIndex, claimed: LayerIndex) -> str:
    if derived.merkle_root != claimed.merkle_root:
        return "it describes other file contents than the layer has"
    if not same(derived.tree, claimed.tree):
        return "it describes another file tree than the layer has"
    if not same(derived.extents, claimed.extents):
        return "it describes other places of file contents than the layer has"
    return ""


def _compare_foreign(derived: LayerIndex, claimed: LayerIndex, data: Path) -> str:
    tree = derived.tree
    if not claimed.tree.inodes.mtime_ns.any():
        tree = replace(tree, inodes=_whole_seconds(tree.inodes))
    if not same(tree, claimed.tree):
        return "its table describes another file tree than the layer has"
    if derived.data_size != claimed.data_size or derived.merkle_root != root_of(
        data, claimed.data_size
    ):
        return "its table describes other file contents than the layer has"
    return ""


def _whole_seconds(inodes: Inodes) -> Inodes:
    """Return inodes with the times that stargz-snapshotter's tables have of them: rounded, but for
    the epoch's first second, which counts as no time at all."""
    late = (inodes.mtime_ns >= 500_000_000) & (inodes.mtime_s > 0)
    return replace(inodes, mtime_s=inodes.mtime_s + late, mtime_ns=np.zeros_like(inodes.mtime_ns))


def root_of(data: Path, size: int) -> bytes:
    """Return the Merkle root of the data area in a sparse file; `size` is a multiple of 4 KiB."""
    tree = MerkleTree()
    with data.open("rb") as file:
        while tree.size < size:
            start = min(size, _data_from(file.fileno(), tree.size, size))
            tree.add_zeros((start - tree.size) // BLOCK * BLOCK)
            if tree.size < size:
                tree.add(os.pread(file.fileno(), min(_PIECE, size - tree.size), tree.size))
    return tree.root()


def _data_from(descriptor: int, offset: int, end: int) -> int:
    """Return where data begins in a file from `offset` on; `end` if there is none."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return end
        raise


def same(one: Any, other: Any) -> bool:
    """Say whether two records of columns are equal: arrays by value, records within by field."""
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if is_dataclass(one):
        names = [field.name for field in fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)
