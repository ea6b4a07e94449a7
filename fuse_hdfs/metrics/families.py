"""Which metrics a mount's numbers are. Pure. `docs/mount-metrics.md` explains each of them.

Labels are DataNodes and numbers of stripes, never files.
"""

from collections.abc import Mapping

from bootseer.metrics.exposition import Family, Sample, counter, gauge
from bootseer.metrics.process import process_families
from fuse_hdfs.metrics.numbers import MountNumbers
from fuse_hdfs.stores.traffic import Counters, Direction, slow


def families(numbers: MountNumbers) -> list[Family]:
    """Return all metrics of a mount."""
    slow_ones = slow(numbers.machines)
    names = sorted({name for name, _ in numbers.machines})
    return [
        *_traffic("datanode", "a DataNode", numbers.machines),
        gauge(
            "bootseer_hdfs_datanode_slow",
            "1 for a DataNode that is much slower than the middle one.",
            *(Sample(name in slow_ones, {"datanode": name}) for name in names),
        ),
        *_traffic("stripe", "stripes of this number", numbers.stripes),
        counter(
            "bootseer_hdfs_retries_total",
            "Calls to HDFS that were done again after a failure.",
            Sample(numbers.retries),
        ),
        counter(
            "bootseer_hdfs_hedges_total",
            "Reads of stripes that were late, so that another copy was asked too.",
            Sample(numbers.hedges),
        ),
        counter(
            "bootseer_hdfs_hedges_won_total",
            "Of these, those that the other copy answered first.",
            Sample(numbers.hedges_won),
        ),
        gauge(
            "bootseer_hdfs_cache_bytes",
            "Memory for what was read, and is being read.",
            Sample(numbers.cache_bytes),
        ),
        gauge("bootseer_hdfs_open_files", "Files that are open.", Sample(numbers.open_files)),
        gauge(
            "bootseer_hdfs_start_seconds",
            "How long the mount took to start.",
            Sample(numbers.start.store, {"phase": "store"}),
            Sample(numbers.start.mounted, {"phase": "mount"}),
        ),
        *process_families(numbers.version, numbers.process),
    ]


def _traffic(
    label: str, what: str, counters: Mapping[tuple[str, Direction], Counters]
) -> list[Family]:
    rows = [({label: name, "direction": str(way)}, one) for (name, way), one in counters.items()]
    prefix = f"bootseer_hdfs_{label}"
    return [
        counter(
            f"{prefix}_bytes_total",
            f"Bytes read from or written to {what}.",
            *(Sample(one.bytes, labels) for labels, one in rows),
        ),
        counter(
            f"{prefix}_seconds_total",
            "Time that these took, summed.",
            *(Sample(one.seconds, labels) for labels, one in rows),
        ),
        counter(
            f"{prefix}_calls_total",
            "Calls that these took.",
            *(Sample(one.calls, labels) for labels, one in rows),
        ),
        counter(
            f"{prefix}_failed_total",
            "Calls of these that failed.",
            *(Sample(one.failed, labels) for labels, one in rows),
        ),
        gauge(
            f"{prefix}_under_way",
            "Calls that are under way.",
            *(Sample(one.under_way, labels) for labels, one in rows),
        ),
    ]
