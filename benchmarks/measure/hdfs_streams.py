"""One writer and one reader of a large file, over links of limited speed.

The sum is that of the DataNodes' links.
"""

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.measure.hdfs_place import PIECE, HdfsPlace, read_file, write_file

WRITE_GOAL: Final = 0.80
READ_GOAL: Final = 0.85
"""Shares of the links' sum."""
_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class Speeds:
    """Megabits a second of one run."""

    write: float
    read: float
    ranges: float
    """By many threads, each a part of the file, through positions of their own."""


def measure(place: HdfsPlace, rate: float) -> list[Figure]:
    """Compare a striped file with a plain one."""
    run(place, place.nodes)  # warms up the servers, which are JVMs
    striped, plain = [], []
    for _ in range(place.runs):
        striped.append(run(place, place.nodes))
        plain.append(run(place, 1))
    total = place.nodes * rate
    found = []
    for what, goal in (("write", WRITE_GOAL), ("read", READ_GOAL), ("ranges", None)):
        ours = statistics.median(getattr(speeds, what) for speeds in striped)
        theirs = statistics.median(getattr(speeds, what) for speeds in plain)
        name = "parallel ranged reads" if what == "ranges" else f"one sequential {what}"
        found += [
            Figure(f"{name}, striped", ours, "Mbit/s"),
            Figure(f"{name}, plain file", theirs, "Mbit/s"),
            Figure(f"{name}, striped, of the sum", ours / total, "", goal, "higher"),
            Figure(f"{name}, plain file, of the sum", theirs / total, ""),
        ]
    return found


def run(place: HdfsPlace, stripes: int, copies: int = 1) -> Speeds:
    """Write a file, and read it through two other mounts."""
    with place.mount(stripes=stripes, copies=copies) as mount:
        write = write_file(mount.path / "file", place.size)
    with place.mount(stripes=stripes) as mount:
        read = read_file(mount.path / "file", place.size)
    with place.mount(stripes=stripes) as mount:
        ranges = read_ranges(mount.path / "file", place.size)
        (mount.path / "file").unlink()
    return Speeds(write, read, ranges)


def read_ranges(path: Path, size: int) -> float:
    """Read a file by contiguous parts, one a thread; return megabits a second."""
    part = -(-size // _THREADS // PIECE) * PIECE
    start = time.monotonic()
    with path.open("rb", 0) as file, ThreadPoolExecutor(_THREADS) as pool:

        def read(first: int) -> int:
            end = min(first + part, size)
            return sum(len(os.pread(file.fileno(), PIECE, at)) for at in range(first, end, PIECE))

        if sum(pool.map(read, range(0, size, part))) != size:
            raise AssertionError("a part is short")
    return size * 8 / 1e6 / (time.monotonic() - start)
