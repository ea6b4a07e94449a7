"""Small valid records for what keeps them."""

from dataclasses import replace

import numpy as np

from snapshotter.hot.merge import merge
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, MergedRecord, Record
from snapshotter.layers.records import BLOCK

LAYERS = (
    HotLayer(f"sha256:{1:064x}", f"sha256:{11:064x}", 400 * BLOCK),
    HotLayer(f"sha256:{2:064x}", f"sha256:{12:064x}", 300 * BLOCK),
)


def record(manifest_digest: str, number: int = 0, **fields: object) -> Record:
    """Return a record of an image; each number gives another one."""
    made = Record(
        manifest_digest=manifest_digest,
        workload="",
        created=1_700_000_000 + number,
        window_ms=60_000,
        length_ms=20_000,
        ended=Ended.QUIET,
        kernel="6.18.0",
        architecture="x86_64",
        layers=LAYERS,
        ranges=make_ranges([(0, 10 + number, 3), (1, 0, 7)]),
        time_ms=np.array([5, 9], dtype=np.int64),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def merged(manifest_digest: str, runs: int, workload: str = "") -> MergedRecord:
    """Return what so many runs have in common."""
    return merge(record(manifest_digest, n, workload=workload) for n in range(runs))


def created(records: object) -> list[int]:
    """Return when each record was made, which tells them apart."""
    return [one.created - 1_700_000_000 for one in records]  # type: ignore[attr-defined]
