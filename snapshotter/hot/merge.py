"""What several runs of one workload have in common: `Record`s -> `MergedRecord`.

The result follows from the set of records alone: their order does not matter, nor that one comes
twice. Ranks are kept in the records, not in the result, so results are not merged again: keep the
records, and merge all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from bootseer.errors import UsageError
from snapshotter.hot.ranges import Blocks, Ranges, collapse, expand, from_keys
from snapshotter.hot.record import Ended, HotLayer, MergedRecord, Record
from snapshotter.hot.record_format import encode
from snapshotter.hot.recorder import TOGETHER_MS
from snapshotter.layers.records import I64
from snapshotter.limits import DEFAULT, Limits

ENOUGH_RUNS: Final = 3
"""From this many runs on, what only one of them touched was chance, and drops out."""

_CUT_OFF: Final = (Ended.FULL, Ended.INTERRUPTED)
"""A recording that ended so says nothing of what came later."""
_MOST_TIMES: Final = 2
"""Blocks that can be merged at once, as a multiple of the limit of one record."""


def merge(records: Iterable[Record], limits: Limits = DEFAULT) -> MergedRecord:
    """Merge the records of one image and workload, all valid.

    A block stays if at least two runs touched it, or if fewer than three would have seen it. Blocks
    are ordered by the median of their ranks of first touch, over the runs that touched them. Of
    more runs than the limits allow, the newest are merged.

    Raises:
        UsageError: no records, or records of different images or workloads.
    """
    runs = _newest({encode(record): record for record in records}, limits)
    if len({(run.manifest_digest, run.workload) for run in runs}) != 1:
        raise UsageError("only records of one image and one workload can be merged")
    layers = _layers(runs)
    layer_runs = [sum(layer in run.layers for run in runs) for layer in layers]
    keys, rank, time, touched = _medians(*_touches(runs, layers))
    blocks = from_keys(keys)
    kept = (touched > 1) | (_watching(runs, layers, blocks, rank) < ENOUGH_RUNS)
    order = np.flatnonzero(kept)
    order = order[np.lexsort((keys[order], rank[order]))]
    # A range has one time: blocks that follow each other on disk, but not in time, stay apart.
    ranges, starts = collapse(
        Blocks(blocks.layer[order], blocks.block[order]), touched[order], time[order] // TOGETHER_MS
    )
    return MergedRecord(
        manifest_digest=runs[0].manifest_digest,
        workload=runs[0].workload,
        runs=len(runs),
        layers=layers,
        layer_runs=tuple(layer_runs),
        ranges=ranges,
        touched=touched[order][starts],
        time_ms=time[order][starts],
    )


def _newest(runs: Mapping[bytes, Record], limits: Limits) -> list[Record]:
    """Return the newest runs that can be merged with bounded memory, at least one."""
    order = sorted(runs, key=lambda data: (-runs[data].created, data))
    blocks = np.cumsum([runs[data].ranges.blocks for data in order])
    count = int(np.searchsorted(blocks, _MOST_TIMES * limits.hot_blocks, side="right"))
    return [runs[data] for data in order[: min(max(count, 1), limits.hot_runs)]]


def _layers(runs: Sequence[Record]) -> tuple[HotLayer, ...]:
    """Return all layers of the runs, in an order that does not depend on that of the runs."""
    names = {layer for run in runs for layer in run.layers}
    return tuple(sorted(names, key=lambda one: (one.layer_digest, one.index_digest, one.data_size)))


def _watching(runs: Sequence[Record], layers: Sequence[HotLayer], blocks: Blocks, rank: I64) -> I64:
    """Return how many runs would have seen each block touched; `rank` is twice the median rank.

    Those are the runs that watched its layer, less those that were cut off before that rank.
    """
    watching = np.zeros(len(rank), dtype=np.int64)
    for run in runs:
        watched = np.array([layer in run.layers for layer in layers], dtype=np.bool_)[blocks.layer]
        if run.ended in _CUT_OFF:
            watched &= rank < 2 * run.ranges.blocks
        watching += watched
    return watching


def _touches(runs: Sequence[Record], layers: Sequence[HotLayer]) -> tuple[I64, I64, I64]:
    """Return key, rank and time of every block of every run; keys number layers in `layers`."""
    row = {layer: number for number, layer in enumerate(layers)}
    keys, ranks, times = [], [], []
    for run in runs:
        numbers = np.array([row[layer] for layer in run.layers], dtype=np.int64)
        ranges = Ranges(numbers[run.ranges.layer], run.ranges.first, run.ranges.count)
        key = expand(ranges).key
        keys.append(key)
        ranks.append(np.arange(len(key), dtype=np.int64))
        times.append(np.repeat(run.time_ms, ranges.count))
    return np.concatenate(keys), np.concatenate(ranks), np.concatenate(times)


def _medians(keys: I64, ranks: I64, times: I64) -> tuple[I64, I64, I64, I64]:
    """Return each key once, twice its median rank, the time that goes with it, and how often it is.

    Between two middle ranks the median is half their sum: twice the median is an integer.
    """
    order = np.lexsort((times, ranks, keys))
    keys, ranks, times = keys[order], ranks[order], times[order]
    starts = np.flatnonzero(np.append(True, np.diff(keys) != 0)[: len(keys)])
    count = np.diff(np.append(starts, len(keys)))
    low, high = starts + (count - 1) // 2, starts + count // 2
    return keys[starts], ranks[low] + ranks[high], (times[low] + times[high]) // 2, count
