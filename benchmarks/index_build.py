"""How long does indexing a layer take, against inflating it with Python's zlib on one core?

    python -m benchmarks.index_build LAYER.tar.gz

The two take turns; the best of three counts, since others may use the machine.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.spacing import inflate_seconds, pieces
from snapshotter.layers.indexer import LayerIndexer

ROUNDS = 3


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the time on the wall and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def index(blob: bytes, *, windows: bool) -> None:
    """Index the layer."""
    indexer = LayerIndexer(windows=windows)
    for piece in pieces(blob):
        indexer.feed(piece)
    indexer.finish()


def main() -> None:
    """Print the times."""
    blob = Path(sys.argv[1]).read_bytes()
    works: dict[str, Callable[[], object]] = {
        "inflate with zlib": lambda: inflate_seconds(blob),
        "index": lambda: index(blob, windows=True),
        "index without windows": lambda: index(blob, windows=False),
    }
    best = {name: (float("inf"), float("inf")) for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            best[name] = min(best[name], seconds(work))
    base = best["inflate with zlib"][0]
    for name, (wall, processor) in best.items():
        print(f"{name}: {wall:.2f} s ({wall / base:.2f}), {processor:.2f} s of processor time")


if __name__ == "__main__":
    main()
