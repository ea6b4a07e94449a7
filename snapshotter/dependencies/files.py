"""The files of a snapshot's image on this node, and how they are read again.

`index` is in the format of layer indexes, but the digests in it are those of frames as they are
stored; `packs` says what its blob is made of; `stamps` are pairs of 64-bit numbers.
"""

import contextlib
import gc
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bootseer.atomic import write_atomic
from bootseer.errors import CorruptError, NotFoundError
from depsnap.mounting.points import Parted, parted
from depsnap.tree.check import check_inside
from depsnap.tree.tree_format import decode_table, parse_table
from snapshotter.dependencies.image import Stamps, image_of, pack_sizes
from snapshotter.erofs.build import build
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.format import decode_map, encode
from snapshotter.layers.records import BLOCK, BlockMap
from snapshotter.serving.layout import INDEX

_PACKS: Final = "packs"
_STAMPS: Final = "stamps"


@dataclass(frozen=True, slots=True)
class Made:
    """What the daemon wants to know of an image whose files are on disk."""

    size: int
    """Bytes of the data area."""
    inodes: int
    merkle_root: str
    """Of the data area, in hex; empty where the tree does not say."""


def check_file(tree: bytes, roots: tuple[str, ...]) -> None:
    """Check the file of a snapshot's tree. Runs in a worker process.

    Args:
        tree: what `make_files` is given.
        roots: absolute paths that nothing in it may be outside of.

    Raises:
        CorruptError: it is none, or one that must not be mounted.
    """
    with _without_collections():
        check_inside(decode_table(tree), tuple(root.strip("/") for root in roots))


def make_files(tree: bytes, digest: str, roots: tuple[str, ...], directory: Path) -> Made:
    """Write the files of an image into `directory`. Runs in a worker process.

    The tree is not checked here: that is another process's job (`check_file`), done meanwhile. What
    is made of a tree that turns out to be wrong is wrong as well, and not to be used.

    Args:
        tree: the file of the snapshot's tree, which has its digest.
        digest: `sha256:...` of the image.
        roots: absolute paths; see `check_file`.

    Raises:
        CorruptError: it cannot be mounted. Of a wrong tree anything may be raised.
    """
    with _without_collections():
        return _make(tree, digest, roots, directory)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Have no garbage collected: tens of thousands of records are made, none of them in a cycle."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _make(tree: bytes, digest: str, roots: tuple[str, ...], directory: Path) -> Made:
    table = parse_table(tree)
    image = image_of(table, digest)
    parts = parted(table, roots)
    data = encode(image.index, compressed=False)  # before `build`: bounds what that is given
    blocks = image.index.data_size // BLOCK
    metadata = build(image.index.tree, blocks, Options(uuid_of(digest)))
    stamps = np.stack([image.stamps.offset, image.stamps.value.astype(np.int64)], axis=1)
    described = {
        "packs": pack_sizes(table),
        "points": parts.points,
        "loose": parts.loose,
    }
    write_atomic(directory / INDEX, data, durable=False)
    write_atomic(directory / _STAMPS, stamps.astype("<i8").tobytes(), durable=False)
    write_atomic(directory / _PACKS, json.dumps(described).encode(), durable=False)
    write_atomic(directory / "meta.erofs", metadata, durable=False)
    return Made(image.index.data_size, len(image.index.tree.inodes.mode), table.root)


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What serving an image takes."""

    blocks: BlockMap
    key: bytes
    stamps: Stamps
    packs: tuple[tuple[str, int], ...]
    """Digest and bytes of each, in the order of the blob."""


def read_files(directory: Path) -> Opened:
    """Return an image from its files. CorruptError or NotFoundError if they are not whole."""
    try:
        index = (directory / INDEX).read_bytes()
        table = np.fromfile(directory / _STAMPS, dtype="<i8").reshape(-1, 2)
        described = json.loads((directory / _PACKS).read_bytes())
        packs = tuple((str(digest), int(size)) for digest, size in described["packs"])
    except FileNotFoundError as error:
        raise NotFoundError(f"{error.filename} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{directory}: not the files of an image: {error}") from error
    stamps = Stamps(table[:, 0], table[:, 1].astype(np.uint32))
    return Opened(decode_map(index), hashlib.sha256(index).digest(), stamps, packs)


def read_parts(directory: Path) -> Parted:
    """Return what of an image is mounted. CorruptError or NotFoundError if that is not known."""
    try:
        described = json.loads((directory / _PACKS).read_bytes())
        return Parted(tuple(map(str, described["points"])), int(described["loose"]))
    except FileNotFoundError as error:
        raise NotFoundError(f"{error.filename} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{directory}: not the files of an image: {error}") from error
