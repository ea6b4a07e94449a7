"""Copy many short runs of bytes from one array to another at once."""

from itertools import pairwise
from typing import Final

import numpy as np

from snapshotter.layers.records import I64, U8

_PIECE: Final = 4 << 20
"""Bytes copied in one step: bounds the index arrays, which take 8 bytes a byte."""


def starts_of(lengths: I64) -> I64:
    """Return where each of n consecutive runs starts, and as value n + 1 where the last ends."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def copy_runs(target: U8, target_at: I64, source: U8, source_at: I64, lengths: I64) -> None:
    """Copy `lengths[i]` bytes from `source[source_at[i]]` to `target[target_at[i]]`, for all i."""
    starts = starts_of(lengths)
    cuts = np.arange(0, int(starts[-1]) + _PIECE, _PIECE, dtype=np.int64)
    rows = np.unique(np.append(starts.searchsorted(cuts), len(lengths)).clip(max=len(lengths)))
    for low, high in pairwise(rows.tolist()):
        count = lengths[low:high]
        first = starts[low:high] - starts[low]
        step = np.arange(int(count.sum()), dtype=np.int64)
        to = np.repeat(target_at[low:high] - first, count) + step
        target[to] = source[np.repeat(source_at[low:high] - first, count) + step]
