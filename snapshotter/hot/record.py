"""What one start-up touched: the record of a run, and what several runs have in common.

Pure data. A record is made by `recorder`, stored by `record_format`, combined by `merge`.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.hot.ranges import Ranges, expand
from snapshotter.layers.records import BLOCK, I64


class Ended(IntEnum):
    """Why a recording ended."""

    WINDOW = 1
    """Its time was over."""
    QUIET = 2
    """Nothing new was touched for a while."""
    FULL = 3
    """It had recorded as many bytes as it may."""
    STOPPED = 4
    """The container ended, or somebody asked for it."""
    INTERRUPTED = 5
    """The recording process went away; this is what it had."""


@dataclass(frozen=True, slots=True)
class HotLayer:
    """A layer as it was served while recording. Two are the same layer if all of this is equal."""

    layer_digest: str
    """`sha256:...`, as the image manifest names it."""
    index_digest: str
    """`sha256:...` of the index that laid out the data area."""
    data_size: int
    """Bytes of the data area, a multiple of 4 KiB."""

    @property
    def blocks(self) -> int:
        """Blocks of the data area."""
        return self.data_size // BLOCK


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What one run of a container touched first, and when."""

    manifest_digest: str
    """`sha256:...` of the image manifest (of the platform, not of an image index)."""
    workload: str
    """Name of what ran; empty for the image's default."""
    created: int
    """When recording began, in seconds since the epoch."""
    window_ms: int
    """How long the recording was allowed to last."""
    length_ms: int
    """How long it lasted."""
    ended: Ended
    kernel: str
    """`uname -r` of the node."""
    architecture: str
    """`uname -m` of the node."""
    layers: tuple[HotLayer, ...]
    """All layers that were watched, touched or not."""
    ranges: Ranges
    """In first-touch order through all layers; no block twice."""
    time_ms: I64
    """When the first block of each range was touched, since recording began; never decreasing."""


@dataclass(frozen=True, slots=True, eq=False)
class MergedRecord:
    """What the runs of one workload have in common."""

    manifest_digest: str
    workload: str
    runs: int
    """Runs that were merged."""
    layers: tuple[HotLayer, ...]
    """By digests."""
    layer_runs: tuple[int, ...]
    """In how many of the runs each layer was watched."""
    ranges: Ranges
    """By the median rank of first touch; no block twice."""
    touched: I64
    """How many of the runs touched each range."""
    time_ms: I64
    """When the first block of each range was touched, in a run of median rank."""


def blocks_of(record: Record | MergedRecord, layer: HotLayer) -> I64:
    """Return the hot blocks of a layer in first-touch order; empty if the record does not know it.

    This is what `snapshotter.erofs.hot.HotLayout` takes. Raises `CorruptError` when the record has
    the same layer and index with a data area of another size.
    """
    for row, known in enumerate(record.layers):
        if (known.layer_digest, known.index_digest) != (layer.layer_digest, layer.index_digest):
            continue
        if known.data_size != layer.data_size:
            raise CorruptError(
                f"hot record of {record.manifest_digest}: the data area of layer"
                f" {layer.layer_digest} has {known.data_size} bytes, its index says"
                f" {layer.data_size}",
                hint="the record is damaged or hostile: record the start again",
            )
        return expand(record.ranges.take(record.ranges.layer == row)).block
    return np.zeros(0, dtype=np.int64)
