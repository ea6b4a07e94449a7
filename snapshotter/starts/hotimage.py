"""What is known and done for the hot blocks of one image, and what that is done with.

Race-free: the event loop's thread only; see `hotimages` for who changes a `HotImage`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

from bootseer.events.stages import SILENT, Stages
from snapshotter.blocks.names import BlockName, LayerName
from snapshotter.blocks.pagecache import PageCache
from snapshotter.hot.record import HotLayer
from snapshotter.ports import HotStore, ImageKey
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.layout import LayerRecord, Layout
from snapshotter.serving.workers import Workers
from snapshotter.starts.area import Feed
from snapshotter.starts.areas import Areas
from snapshotter.starts.course import Known, StartPolicy
from snapshotter.starts.feed import FeedRules


class PresentLayers(Protocol):
    """Makes the layers of an image present on this node."""

    async def present(self, image: ImageKey) -> Mapping[LayerName, LayerRecord]:
        """Return the image's layers that have an index, all of them present on disk."""
        ...


@dataclass(slots=True)
class HotImage:
    """What goes on for one image and workload."""

    image: ImageKey
    workload: str
    known: Known | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """It is known how containers start, and which layers have a hot area."""
    areas: dict[LayerName, BlockName] = field(default_factory=dict)
    ready: dict[LayerName, asyncio.Event] = field(default_factory=dict)
    """Set when the metadata of the layer's hot layout is written, or the layer left `areas`."""
    feed: Feed | None = None
    source: str = ""
    good_until: float = float("inf")
    failure: str = ""
    spoiled: bool = False
    """One of its hot layouts could not be mounted."""
    missed_before: int = 0
    """Bytes that were missed in the layers' data areas before the feed began."""

    @property
    def going_on(self) -> bool:
        """Whether its work has not ended."""
        return self.good_until == float("inf")


@dataclass(frozen=True, slots=True)
class HotServices:
    """What the work on hot images uses."""

    layout: Layout
    layers: PresentLayers
    files: LayerFiles
    areas: Areas
    stores: Sequence[HotStore]
    """Where records and packs may be, the nearest first."""
    workers: Workers
    executor: Executor
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    policy: StartPolicy
    rules: FeedRules
    in_place: Callable[[ImageKey], bool]
    """Says of an image whether hot blocks that come with their chunks are read where they are."""
    page_cache: PageCache | None = None
    """Where hot blocks that are read in place are put too."""
    stages: Stages = SILENT
    """Hears of prefetches."""


def hot_layer(record: LayerRecord) -> HotLayer:
    """Return how a record of hot blocks names a layer."""
    return HotLayer(record.layer_digest, record.index_file_digest, record.size)
