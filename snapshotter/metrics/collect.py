"""Collects what the parts of the daemon count. They know nothing of it.

Race-free: the event loop's thread only, without an await between the first number and the last.
"""

from collections.abc import Collection
from dataclasses import dataclass

import bootseer
from bootseer.metrics.process import process_numbers
from snapshotter.blocks.pagecache import PageCache, PageCacheCounters
from snapshotter.dependencies.service import Dependencies
from snapshotter.metrics.numbers import LayerNumbers, NodeNumbers
from snapshotter.registry.statistics import Statistics
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.fill import Fill
from snapshotter.serving.poison import Poisoned
from snapshotter.serving.upkeep import Upkeep
from snapshotter.starts.service import Starts


@dataclass(frozen=True, slots=True)
class Counted:
    """The parts that count."""

    files: LayerFiles
    starts: Starts
    fill: Fill
    upkeep: Upkeep
    poisoned: Poisoned
    page_cache: PageCache | None
    registry: Statistics
    dependencies: Dependencies


def collect(parts: Counted, mounted: Collection[str]) -> NodeNumbers:
    """Return what was counted so far. `mounted`: the mounts that snapshots use."""
    return NodeNumbers(
        version=bootseer.__version__,
        process=process_numbers(),
        layers=_layers(parts.files, len(mounted)),
        layer_reads=parts.files.reads.total(),
        hot_reads=parts.starts.reads,
        fetches=parts.files.fetches.total(),
        feeds=parts.starts.feeds,
        page_cache=parts.page_cache.counters if parts.page_cache else PageCacheCounters(),
        registry=parts.registry,
        starts=parts.starts.counters,
        hot=parts.starts.numbers(),
        fill=parts.fill.numbers(),
        audits=parts.upkeep.audits,
        poisoned_indexes=len(parts.poisoned),
        dependencies=parts.dependencies.numbers(),
    )


def _layers(files: LayerFiles, mounts: int) -> LayerNumbers:
    opened = files.opened().values()
    poisoned = sum(bool(layer.record.poisoned) for layer in opened)
    local = sum(layer.record.local and not layer.record.poisoned for layer in opened)
    return LayerNumbers(
        fetching=len(opened) - poisoned - local,
        local=local,
        poisoned=poisoned,
        mounts=mounts,
        disk_bytes=sum(layer.reader.cache.disk_usage() for layer in opened),
    )
