"""The check of the whole: does the index describe the layer that the manifest names?

Every chunk was checked against the index, but the index is somebody's word. Once all compressed
bytes of a layer are at hand, its digest is computed and the index is derived again from the bytes:
both must be what they were said to be. Runs in a worker process: see `workers`.
"""

import hashlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.layers.format import decode
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.limits import Limits

_PIECE = 1 << 20


def audit(blob: Path, index: Path, limits: Limits) -> str:
    """Return why the index does not describe the layer in `blob`, or nothing if it does."""
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
        return f"the layer's bytes do not parse: {error.message}"
    found = f"sha256:{digest.hexdigest()}"
    if found != claimed.layer_digest:
        return f"its chunks are from a layer with digest {found}"
    if derived.merkle_root != claimed.merkle_root:
        return "it describes other file contents than the layer has"
    if not same(derived.tree, claimed.tree):
        return "it describes another file tree than the layer has"
    if not same(derived.extents, claimed.extents):
        return "it describes other places of file contents than the layer has"
    return ""


def same(one: Any, other: Any) -> bool:
    """Say whether two records of columns are equal: arrays by value, records within by field."""
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if is_dataclass(one):
        names = [field.name for field in fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)
