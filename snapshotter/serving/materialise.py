"""Index bytes -> EROFS metadata on disk. Runs in a worker process: see `workers`.

The kernel never mounts metadata that came over the network: the index is decoded and checked, and
what the kernel gets is written here.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bootseer.atomic import write_atomic
from snapshotter.erofs.build import build
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.format import decode
from snapshotter.layers.records import BLOCK, InodeFlag, LayerIndex
from snapshotter.limits import DEFAULT, Limits


@dataclass(frozen=True, slots=True)
class Materialised:
    """What the server wants to know of a layer whose metadata is on disk."""

    layer_digest: str
    windows_digest: str
    size: int
    inodes: int
    two_faced: bool


def materialise(index_path: Path, limits: Limits = DEFAULT) -> Materialised:
    """Check the index in the file and write `meta.erofs` (and `bottom.erofs`) beside it.

    Raises:
        CorruptError: the index is not one, or breaks a rule.
    """
    data = index_path.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return write_metadata(decode(data, limits), digest, index_path.parent)


def write_metadata(index: LayerIndex, digest: str, directory: Path) -> Materialised:
    """Write the EROFS metadata of a checked index; `digest` is that of the index' file."""
    inodes = index.tree.inodes
    two_faced = bool((inodes.flags & (InodeFlag.WHITEOUT | InodeFlag.OPAQUE)).any())
    faces = {"meta.erofs": False} | ({"bottom.erofs": True} if two_faced else {})
    for name, bottom in faces.items():
        options = Options(uuid_of(digest), bottom=bottom)
        image = build(index.tree, index.data_size // BLOCK, options)
        write_atomic(directory / name, image)
    return Materialised(
        index.layer_digest, index.windows_digest, index.data_size, len(inodes.mode), two_faced
    )
