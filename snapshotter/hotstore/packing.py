"""Merged records and local data areas -> a pack in a file. For a worker process: arguments pickle.

Blocking, and busy for seconds: all of every data area is hashed before anything of it is packed.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bootseer.errors import CorruptError, HostError
from snapshotter.hot.hashtree import HashTree, tree_of_area
from snapshotter.hot.pack import DEFAULT_SETTINGS, PackSettings, Read, write_pack
from snapshotter.hot.record import HotLayer, MergedRecord
from snapshotter.limits import DEFAULT, Limits

_HINT: Final = "the local copy of the layer is damaged"


@dataclass(frozen=True, slots=True)
class LocalArea:
    """A layer's data area on this machine, all of it."""

    path: Path
    merkle_root: bytes
    """What the layer's index says of it."""


@dataclass(frozen=True, slots=True)
class MadePack:
    """What a pack holds. Sizes in bytes."""

    size: int
    blocks: int
    frames: int
    layers: int


def chosen_layers(merged: MergedRecord, published: Mapping[str, str]) -> dict[int, str]:
    """Return the layers to pack: row in the record -> layer digest.

    These are the ones with hot blocks. A layer that was served by several indexes is packed once:
    by the one that is published (`published`: layer digest -> index digest), else by the one of the
    most runs.
    """
    touched = set(merged.ranges.layer.tolist())
    best: dict[str, tuple[bool, int, int]] = {}
    for row in sorted(touched):
        layer = merged.layers[row]
        is_published = published.get(layer.layer_digest) == layer.index_digest
        rank = (is_published, merged.layer_runs[row], -row)
        best[layer.layer_digest] = max(best.get(layer.layer_digest, rank), rank)
    return {-rank[2]: digest for digest, rank in best.items()}


def make_pack(
    merged: MergedRecord,
    areas: Mapping[int, LocalArea],
    target: Path,
    settings: PackSettings = DEFAULT_SETTINGS,
    limits: Limits = DEFAULT,
) -> MadePack:
    """Write the pack of the layers whose data areas are here, by their row in the record.

    `target` is there only if all went well.

    Raises:
        CorruptError: a data area is not what its index says, or the pack would be too large.
        UsageError: a layer is there by two indexes.
        HostError: the disk.
    """
    try:
        with ExitStack() as stack:
            files = {row: stack.enter_context(one.path.open("rb", 0)) for row, one in areas.items()}

            def read(row: int, offset: int, length: int) -> bytes:
                return _read(files[row], offset, length)

            trees = {row: _tree(merged.layers[row], read, row, areas[row]) for row in areas}
            with target.open("wb") as file:
                head = write_pack(merged, read, trees, file, settings, limits)
        _check_size(head.size, limits)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise HostError(f"cannot write the pack {target}: {error}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return MadePack(head.size, head.blocks, head.frames, head.layers)


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    data = os.pread(file.fileno(), length, offset)
    if len(data) != length:
        raise CorruptError(f"{file.name} ends before {offset + length}", hint=_HINT)
    return data


def _tree(layer: HotLayer, read: Read, row: int, area: LocalArea) -> HashTree:
    """Return the hashes of a data area, which are those that its index vouches for."""
    tree = tree_of_area(lambda offset, length: read(row, offset, length), layer.data_size)
    if tree.root != area.merkle_root:
        digest = layer.layer_digest
        raise CorruptError(f"layer {digest}: its data area has another Merkle root", hint=_HINT)
    return tree


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.hot_pack:
        raise CorruptError(f"hot pack of {size} bytes, the limit is {limits.hot_pack}")
