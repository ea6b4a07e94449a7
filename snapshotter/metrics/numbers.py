"""What a node's daemon counts, at one moment. Counters begin at 0 when the server starts."""

from dataclasses import dataclass

from bootseer.metrics.process import ProcessNumbers
from snapshotter.blocks.pagecache import PageCacheCounters
from snapshotter.chunks.fetching import Counters
from snapshotter.chunks.reads import ReadCounters
from snapshotter.dependencies.counters import DependencyNumbers
from snapshotter.registry.statistics import Statistics
from snapshotter.serving.fill import FillNumbers
from snapshotter.serving.upkeep import AuditCounters
from snapshotter.starts.area import FeedCounters
from snapshotter.starts.service import HotNumbers, StartCounters


@dataclass(frozen=True, slots=True)
class LayerNumbers:
    """The layers that are open."""

    fetching: int
    """Something is missing, or the whole was not checked yet (a count)."""
    local: int
    """All of it is on this node, and was checked (a count)."""
    poisoned: int
    """Its index lied (a count)."""
    mounts: int
    """Mounts that snapshots use (a count)."""
    disk_bytes: int
    """What their caches take of the disk."""


@dataclass(frozen=True, slots=True)
class NodeNumbers:
    """All of it."""

    version: str
    process: ProcessNumbers
    layers: LayerNumbers
    layer_reads: ReadCounters
    """Of data areas."""
    hot_reads: ReadCounters
    """Of hot areas."""
    fetches: Counters
    feeds: FeedCounters
    page_cache: PageCacheCounters
    registry: Statistics
    starts: StartCounters
    hot: HotNumbers
    fill: FillNumbers
    audits: AuditCounters
    poisoned_indexes: int
    """Indexes that are known to lie (a count)."""
    dependencies: DependencyNumbers
