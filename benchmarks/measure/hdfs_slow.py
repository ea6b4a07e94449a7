"""One DataNode that is slow, while each block has three copies."""

import statistics
from typing import Final

from benchmarks.figures import Figure
from benchmarks.measure.hdfs_place import HdfsPlace, read_file, write_file

SLOW: Final = 50.0
"""Mbit/s."""
_GOAL: Final = 0.6
_COPIES: Final = 3


def measure(place: HdfsPlace, rate: float) -> list[Figure]:
    """Read a file with all DataNodes fast, and with one of them slow."""
    fast, slow = [], []
    with place.mount(copies=_COPIES) as mount:
        write_file(mount.path / "file", place.size)
    try:
        for _ in range(place.runs):
            place.net.set_rate(0, rate)
            fast.append(_read(place))
            place.net.set_rate(0, SLOW)
            slow.append(_read(place))
    finally:
        place.net.set_rate(0, rate)
    with place.mount() as mount:
        (mount.path / "file").unlink()
    whole, share = statistics.median(fast), statistics.median(slow) / statistics.median(fast)
    return [
        Figure("read with three copies", whole, "Mbit/s"),
        Figure("read with three copies, one node slow", statistics.median(slow), "Mbit/s"),
        Figure("one node slow, of the speed without it", share, "", _GOAL, "higher"),
    ]


def _read(place: HdfsPlace) -> float:
    with place.mount() as mount:
        return read_file(mount.path / "file", place.size)
