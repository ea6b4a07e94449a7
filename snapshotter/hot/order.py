"""In which order chunks of layers are fetched so that hot blocks come when they are needed. Pure.

For layers whose hot blocks are not had from a pack: chunks in the order in which a start first
needs them, joined to runs of neighbours so that a request is worth its round trip. Order and
neighbourhood pull in different directions, so the order is kept between batches of some megabytes
and given up inside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from snapshotter.hot.ranges import Blocks, Ranges, collapse, expand, from_keys
from snapshotter.layers.records import BLOCK, I64, U64


@dataclass(frozen=True, slots=True, eq=False)
class ChunkEdges:
    """Where the chunks of a layer lie: two columns of its `ChunkTable`."""

    data: U64
    """n + 1 offsets in the data area."""
    blob: U64
    """n + 1 offsets in the blob."""


@dataclass(frozen=True, slots=True)
class FetchRules:
    """Sizes in bytes of the blob, compressed."""

    batch: int = 8 << 20
    """In a batch of this size, neighbours are joined across the order of first touch."""
    run: int = 4 << 20
    """Largest run, unless one chunk is larger."""


@dataclass(frozen=True, slots=True)
class FetchRun:
    """Neighbouring chunks to be fetched with one request."""

    layer: int
    """Row of the layer in the record."""
    low: int
    high: int
    """Chunks `[low, high)`."""


DEFAULT_RULES: Final = FetchRules()


def fetch_order(
    ranges: Ranges, edges: Mapping[int, ChunkEdges], rules: FetchRules = DEFAULT_RULES
) -> list[FetchRun]:
    """Return the runs of chunks that hold these hot blocks, in the order to fetch them.

    `edges` has the layers to fetch, by their row in the record; others are passed over. Ranges lie
    inside the data areas. Every chunk that a hot block needs is in exactly one run; no other is,
    but for some that are without data.
    """
    chunks = _first_needed(ranges, edges)
    size = np.zeros(len(chunks.block), dtype=np.int64)
    for layer, one in edges.items():
        mine = chunks.layer == layer
        size[mine] = np.diff(one.blob.astype(np.int64))[chunks.block[mine]]
    batch = (np.cumsum(size) - size) // rules.batch
    order = np.lexsort((chunks.key, batch))
    joined, starts = collapse(Blocks(chunks.layer[order], chunks.block[order]), batch[order])
    ends = np.append(starts, len(order))[1:]
    runs: list[tuple[int, FetchRun]] = []
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        low = int(joined.first[row])
        for first, last in _pieces(size[order[start:end]], rules.run):
            run = FetchRun(int(joined.layer[row]), low + first, low + last)
            runs.append((int(order[start + first : start + last].min()), run))
    return [run for _, run in sorted(runs, key=lambda pair: pair[0])]


def _first_needed(ranges: Ranges, edges: Mapping[int, ChunkEdges]) -> Blocks:
    """Return each chunk that is needed once, in the order of first need."""
    low = np.zeros(len(ranges.layer), dtype=np.int64)
    count = np.zeros_like(low)
    for layer, one in edges.items():
        mine = ranges.layer == layer
        start = (ranges.first[mine] * BLOCK).astype(np.uint64)
        end = ((ranges.first[mine] + ranges.count[mine]) * BLOCK).astype(np.uint64)
        low[mine] = np.searchsorted(one.data, start, side="right") - 1
        count[mine] = np.searchsorted(one.data, end, side="left") - low[mine]
    known = count > 0
    keys = expand(Ranges(ranges.layer[known], low[known], count[known])).key
    _, first = np.unique(keys, return_index=True)
    return from_keys(keys[np.sort(first)])


def _pieces(sizes: I64, most: int) -> list[tuple[int, int]]:
    """Cut a run of chunks into pieces of at most `most` bytes, or one chunk."""
    ends = np.cumsum(sizes)
    pieces, start, before = [], 0, 0
    while start < len(sizes):
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        pieces.append((start, stop))
        start, before = stop, int(ends[stop - 1])
    return pieces
