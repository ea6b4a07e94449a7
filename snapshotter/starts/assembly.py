"""Builds the graph of what makes starts fast; no logic of its own."""

import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from bootseer.config import Hot
from bootseer.events.stages import SILENT, Stages
from snapshotter.blocks.names import LEAST_RECORD
from snapshotter.blocks.pagecache import PageCache
from snapshotter.hot.recorder import RecordingRules
from snapshotter.ports import HotStore, ImageKey
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.layout import Layout
from snapshotter.serving.provider import Provider
from snapshotter.serving.workers import Workers
from snapshotter.starts.areas import Areas
from snapshotter.starts.blockfiles import NodeBlocks
from snapshotter.starts.course import StartPolicy
from snapshotter.starts.feed import FeedRules
from snapshotter.starts.finishing import Finishing
from snapshotter.starts.hotimage import HotServices, PresentLayers
from snapshotter.starts.hotimages import HotImages
from snapshotter.starts.numbers import Numbers, numbers_on_disk
from snapshotter.starts.ownstore import open_own_store
from snapshotter.starts.packing import Packing
from snapshotter.starts.recordings import Recordings
from snapshotter.starts.service import StartRules, Starts
from snapshotter.starts.usage import Usage
from snapshotter.watching.tracefs import Tracefs
from snapshotter.watching.watcher import Watcher

_NICE: Final = 5


@dataclass(frozen=True, slots=True)
class Blocks:
    """The block files of a node."""

    areas: Areas
    recordings: Recordings
    watcher: Watcher
    files: NodeBlocks
    page_cache: PageCache | None
    """None where hot blocks are not put there."""


def open_recordings(layout: Layout, config: Hot) -> Recordings:
    """Return the recordings below a root; those of an earlier server go on."""
    numbers = Numbers(layout.hot / "numbers", numbers_on_disk(layout.layers))
    rules = RecordingRules(window=config.window, quiet=config.quiet)
    return Recordings(layout.hot / "recordings", numbers, rules)


def open_blocks(layout: Layout, files: LayerFiles, recordings: Recordings, config: Hot) -> Blocks:
    """Return the block files below a root."""
    areas = Areas(layout, files, recordings.numbers, files.page_cache)
    tracefs = Tracefs(layout.root, layout.blocks, LEAST_RECORD)
    watcher = Watcher(tracefs if config.watch == "auto" else None, recordings)
    blocks = NodeBlocks(layout, files, areas, recordings)
    return Blocks(areas, recordings, watcher, blocks, files.page_cache)


@dataclass(frozen=True, slots=True)
class Around:
    """What the daemon has for everybody."""

    layout: Layout
    files: LayerFiles
    workers: Workers
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    stages: Stages = SILENT
    """Hears of containers' starts."""


def _yield_to_others() -> None:
    """Let a thread that unpacks ahead of need come after those that somebody waits for."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def open_starts(
    around: Around,
    blocks: Blocks,
    provider: Provider,
    present: PresentLayers,
    shared: HotStore,
    config: Hot,
    is_near: Callable[[ImageKey], bool],
) -> Starts:
    """Return the layer provider that makes starts fast.

    `shared`: the store of all nodes; `is_near`: says of an image that copying hot blocks into areas
    costs more than bringing them.
    """
    own = open_own_store(around.layout.hot / "store")
    packing = Packing(around.layout, around.files, around.workers, shared)
    rules = StartRules(
        StartPolicy(config.record, config.prefetch, in_place=config.layout == "natural"),
        wait_bytes=config.wait,
        wait_most=config.wait_timeout,
    )
    services = HotServices(
        layout=around.layout,
        layers=present,
        files=around.files,
        areas=blocks.areas,
        stores=(own, shared),
        workers=around.workers,
        executor=ThreadPoolExecutor(os.cpu_count(), "hot", initializer=_yield_to_others),
        spawn=around.spawn,
        policy=rules.policy,
        rules=FeedRules(),
        in_place=lambda image: config.layout != "hot" or is_near(image),
        page_cache=blocks.page_cache,
        stages=around.stages,
    )
    images = HotImages(services)
    packed = packing if config.pack == "auto" else None
    return Starts(
        provider,
        around.files,
        images,
        blocks.areas,
        blocks.recordings,
        blocks.watcher,
        Finishing(blocks.recordings, (own, shared), images, packed, provider, around.spawn),
        packed,
        Usage(around.layout, blocks.areas, around.workers, config.window),
        rules,
        around.spawn,
        around.stages,
    )
