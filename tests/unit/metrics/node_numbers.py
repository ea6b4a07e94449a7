"""Numbers of a node that nobody ran."""

from bootseer.metrics.process import ProcessNumbers
from snapshotter.blocks.pagecache import PageCacheCounters
from snapshotter.chunks.fetching import Counters
from snapshotter.chunks.reads import ReadCounters
from snapshotter.dependencies.counters import DependencyNumbers, MountCounters
from snapshotter.metrics.numbers import LayerNumbers, NodeNumbers
from snapshotter.registry.statistics import Statistics
from snapshotter.serving.fill import FillNumbers, FillStage
from snapshotter.serving.filling import Pause
from snapshotter.serving.upkeep import AuditCounters
from snapshotter.starts.area import FeedCounters
from snapshotter.starts.service import HotNumbers, StartCounters


def node_numbers() -> NodeNumbers:
    return NodeNumbers(
        version="1.2.3",
        process=ProcessNumbers(1e9, 2.5, 3 << 20),
        layers=LayerNumbers(4, 5, 6, 7, 8 << 20),
        layer_reads=ReadCounters(),
        hot_reads=ReadCounters(),
        fetches=Counters(),
        feeds=FeedCounters(brought=9),
        page_cache=PageCacheCounters(10, 11),
        registry=Statistics(),
        starts=StartCounters(),
        hot=HotNumbers(12, 13, 14 << 12, 15 << 12, 14 << 12, 2 << 12),
        fill=FillNumbers(FillStage.PAUSED, Pause.DISK, 16, 17, 18),
        audits=AuditCounters(19, 20),
        poisoned_indexes=21,
        dependencies=DependencyNumbers(22, MountCounters(seconds=23.5)),
    )
