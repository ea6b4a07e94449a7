"""Counting what goes to whom, and who is slow."""

import re
from pathlib import Path

import pytest

from bootseer.metrics.exposition import render
from bootseer.metrics.process import ProcessNumbers
from fuse_hdfs.metrics.families import families
from fuse_hdfs.metrics.numbers import MountNumbers, Start
from fuse_hdfs.stores.traffic import Counters, Direction, Traffic, slow

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/mount-metrics.md"


def test_calls_are_counted_by_name_and_direction() -> None:
    traffic = Traffic()
    with traffic.call("a", Direction.READ) as call:
        call.bytes = 10
        (counters,) = traffic.counters.values()
        assert (counters.under_way, counters.calls) == (1, 0)
    with pytest.raises(OSError, match="no"), traffic.call("a", Direction.READ):
        raise OSError("no")
    with traffic.call("a", Direction.WRITE) as call:
        call.idle = 1e9
    read, write = (traffic.counters["a", way] for way in Direction)
    assert (read.calls, read.bytes, read.failed, read.under_way) == (2, 10, 1, 0)
    assert (write.calls, write.seconds) == (1, 0.0)


def test_names_beyond_all_measure_are_counted_together() -> None:
    traffic = Traffic()
    for number in range(5_000):
        with traffic.call(str(number), Direction.READ) as call:
            call.bytes = 1
    assert len(traffic.counters) <= 4_097
    assert sum(one.bytes for one in traffic.counters.values()) == 5_000


def counters(speeds: dict[str, float], telling: int = 9) -> dict[tuple[str, Direction], Counters]:
    found = {}
    for name, speed in speeds.items():
        found[name, Direction.READ] = Counters(speed=speed, telling=telling)
    return found


def test_slow_is_who_is_much_slower_than_the_middle() -> None:
    assert slow(counters({"a": 90.0, "b": 100.0, "c": 110.0, "d": 25.0})) == {"d"}
    assert slow(counters({"a": 90.0, "b": 100.0, "c": 50.0})) == set()
    assert slow(counters({"a": 100.0, "b": 1.0})) == set()
    assert slow(counters({"a": 90.0, "b": 100.0, "c": 1.0}, telling=1)) == set()
    assert slow({}) == set()


def test_metrics_name_datanodes_and_stripes() -> None:
    machines = counters({"n1:9864": 90.0, "n2:9864": 100.0, "n3:9864": 5.0})
    machines["n1:9864", Direction.READ].bytes = 1234
    numbers = MountNumbers(
        version="1",
        process=ProcessNumbers(1e9, 2.5, 1 << 20),
        start=Start(0.25, 0.5),
        machines=machines,
        stripes={("3", Direction.WRITE): Counters(calls=2, bytes=7)},
        retries=1,
        hedges=5,
        hedges_won=4,
        cache_bytes=99,
        open_files=2,
    )
    lines = render(families(numbers)).splitlines()
    for line in (
        'bootseer_hdfs_datanode_bytes_total{datanode="n1:9864",direction="read"} 1234',
        'bootseer_hdfs_datanode_slow{datanode="n3:9864"} 1',
        'bootseer_hdfs_datanode_slow{datanode="n1:9864"} 0',
        'bootseer_hdfs_stripe_bytes_total{stripe="3",direction="write"} 7',
        "bootseer_hdfs_retries_total 1",
        "bootseer_hdfs_hedges_won_total 4",
        'bootseer_hdfs_start_seconds{phase="store"} 0.25',
    ):
        assert line in lines
    rows = re.findall(
        r"^\| `(\w+)(?:\{[\w,]+\})?` \| (counter|gauge) \|", DOCUMENT.read_text(), re.MULTILINE
    )
    assert sorted(line.split()[2:] for line in lines if line.startswith("# TYPE")) == sorted(
        [list(row) for row in rows]
    )
