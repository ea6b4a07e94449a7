"""Arithmetic over a chunk table: which chunks a read needs, which bytes a chunk needs. Pure."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import numpy as np

from snapshotter.layers.records import U64, BlockMap


class ChunkMap:
    """Look-ups in a layer's chunk table. Plain arrays: a single value from numpy costs 100 ns."""

    __slots__ = ("_blob", "_data", "_shared", "_window", "size")

    def __init__(self, block_map: BlockMap) -> None:
        chunks = block_map.chunks
        self._data = array("Q", chunks.data.tobytes())
        self._blob = array("Q", chunks.blob.tobytes())
        self._window = array("Q", chunks.window.tobytes())
        self._shared = int(chunks.bits.any())
        self.size = int(self._data[-1])
        """Bytes of the data area."""

    def __len__(self) -> int:
        """Return the number of chunks."""
        return len(self._data) - 1

    def covering(self, offset: int, length: int) -> tuple[int, int]:
        """Return the chunks `[low, high)` that hold `[offset, offset + length)` of the data area.

        Chunks without data of their own are not asked for at either end.
        """
        end = min(offset + length, self.size)
        if offset >= end:
            return 0, 0
        return bisect_right(self._data, offset) - 1, bisect_left(self._data, end)

    def data(self, chunk: int) -> tuple[int, int]:
        """Return where the chunk's bytes lie in the data area: `(start, end)`."""
        return self._data[chunk], self._data[chunk + 1]

    def blob(self, low: int, high: int) -> tuple[int, int]:
        """Return the bytes of the blob that chunks `[low, high)` need: `(start, end)`.

        Deflate is cut at bits, so the last chunk may need one byte of its successor.
        """
        return self._blob[low], min(self._blob[high] + self._shared, self._blob[-1])

    def own_blob(self, low: int, high: int) -> tuple[int, int]:
        """Return the bytes of the blob that chunks `[low, high)` need and no other does."""
        return self._blob[low] + (self._shared if low else 0), self._blob[high]

    def blob_start(self, chunk: int) -> int:
        """Return where the chunk's bytes start in the blob."""
        return self._blob[chunk]

    @property
    def edges(self) -> tuple[U64, U64]:
        """Where all chunks start, and the last one ends, in the data area and in the blob."""
        return np.array(self._data, dtype=np.uint64), np.array(self._blob, dtype=np.uint64)

    def window(self, chunk: int) -> tuple[int, int]:
        """Return where the chunk's window lies in the windows blob: `(start, end)`."""
        return self._window[chunk], self._window[chunk + 1]

    @property
    def windows_size(self) -> int:
        """Bytes of the windows blob."""
        return self._window[-1]

    def runs(self, low: int, high: int, limit: int) -> Iterator[tuple[int, int]]:
        """Cut chunks `[low, high)` into runs of at most `limit` blob bytes (or one chunk)."""
        return _cut(self._blob, low, high, limit, high - low)

    def batches(self, low: int, high: int, limit: int) -> Iterator[tuple[int, int]]:
        """Cut chunks `[low, high)` into two batches at least, where they are two at least; each has
        at most `limit` bytes of the data area (or is one chunk)."""
        return _cut(self._data, low, high, limit, max(1, (high - low) // 2))

    def reach(self, low: int, budget: int) -> int:
        """Return the end of the run of chunks from `low` that fits into `budget` blob bytes."""
        high = bisect_right(self._blob, self._blob[low] + budget) - 1
        return max(low + 1, min(high, len(self)))

    def reach_back(self, high: int, budget: int) -> int:
        """Return the start of the run of chunks up to `high` that fits into `budget` blob bytes."""
        return bisect_left(self._blob, self._blob[high] - budget)


def _cut(
    edges: "array[int]", low: int, high: int, limit: int, most: int
) -> Iterator[tuple[int, int]]:
    """Cut chunks `[low, high)`: pieces of at most `limit` bytes between `edges` (or one chunk), and
    of at most `most` chunks."""
    first = low
    for chunk in range(low, high):
        if first < chunk and (edges[chunk + 1] - edges[first] > limit or chunk - first >= most):
            yield first, chunk
            first = chunk
    if first < high:
        yield first, high
