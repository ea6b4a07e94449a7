"""Index bytes -> EROFS metadata on disk. Runs in a worker process: see `workers`.

The kernel never mounts metadata that came over the network: the index is decoded and checked, and
what the kernel gets is written here.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bootseer.atomic import write_atomic
from bootseer.errors import CorruptError
from snapshotter.erofs.build import build
from snapshotter.erofs.hot import HotLayout
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.format import decode
from snapshotter.layers.records import BLOCK, InodeFlag, LayerIndex, Proof
from snapshotter.limits import DEFAULT, Limits
from snapshotter.linking.names import encode_places, library_places

LIBRARIES: Final = "libraries"


@dataclass(frozen=True, slots=True)
class Materialised:
    """What the server wants to know of a layer whose metadata is on disk."""

    layer_digest: str
    index_digest: str
    """`sha256:...` of the index file."""
    merkle_root: str
    """Of the data area, in hex; empty where nobody has computed it."""
    windows_digest: str
    size: int
    inodes: int
    two_faced: bool
    coarse: bool = False
    """It is zstd in frames too large to be read at random, as far as this node saw."""


def materialise(index_path: Path, limits: Limits = DEFAULT) -> Materialised:
    """Check the index in the file and write `meta.erofs` (and `bottom.erofs`) beside it.

    Raises:
        CorruptError: the index is not one that may be published, or breaks a rule.
    """
    data = index_path.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    index = decode(data, limits)
    if index.chunks.proof != Proof.DATA:
        raise CorruptError("layer index: made of another format's, which is not for publishing")
    return write_metadata(index, digest, index_path.parent)


def write_metadata(index: LayerIndex, digest: str, directory: Path) -> Materialised:
    """Write the EROFS metadata of a checked index; `digest` is that of the index' file."""
    flags = index.tree.inodes.flags
    two_faced = bool((flags & (InodeFlag.WHITEOUT | InodeFlag.OPAQUE)).any())
    _write(index, digest, directory, None, two_faced=two_faced)
    places = encode_places(library_places(index.tree))
    write_atomic(directory / LIBRARIES, places, durable=False)
    return Materialised(
        index.layer_digest,
        digest,
        index.merkle_root.hex() if index.chunks.proof == Proof.DATA else "",
        index.windows_digest,
        index.data_size,
        len(index.tree.inodes.mode),
        two_faced,
    )


def materialise_hot(
    index_path: Path, blocks: Path, directory: Path, limits: Limits, *, two_faced: bool
) -> None:
    """Write the metadata of a layer in a hot layout; `blocks`: see `HotLayout.blocks`, int64.

    `two_faced`: it may be mounted as a bottom layer, and is another one there.

    Raises:
        CorruptError: the index is not one, or the blocks are not of its data area.
    """
    data = index_path.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    hot = HotLayout(np.fromfile(blocks, dtype="<i8"))
    _write(decode(data, limits), digest, directory, hot, two_faced=two_faced)


def _write(
    index: LayerIndex, digest: str, directory: Path, hot: HotLayout | None, *, two_faced: bool
) -> None:
    """Write `meta.erofs`, and `bottom.erofs` if the layer has two faces."""
    faces = {"meta.erofs": False} | ({"bottom.erofs": True} if two_faced else {})
    for name, bottom in faces.items():
        options = Options(uuid_of(digest), bottom=bottom)
        image = build(index.tree, index.data_size // BLOCK, options, hot)
        write_atomic(directory / name, image, durable=hot is None)
