"""Fetches what is still missing of the layers that are served, so that they become local.

One loop, one request at a time, smallest layer first: the sooner a layer is whole, the sooner it is
checked and mounted without FUSE. What decides is in `filling`.

Race-free: the event loop's thread only; whatever it looks at may change at an await, and is looked
at again after it.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bootseer.errors import BootseerError
from snapshotter.blocks.pagecache import available
from snapshotter.chunks.fetching import Purpose
from snapshotter.serving.files import LayerFiles, OpenLayer
from snapshotter.serving.filling import FillRules, FillState, Pause, pause, rest

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
_NEVER: Final = float("-inf")


class FillStage(StrEnum):
    """What the fill is about."""

    OFF = "off"
    DONE = "done"
    """All layers are local."""
    PAUSED = "paused"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class FillNumbers:
    """How far the fill is."""

    stage: FillStage
    paused: Pause | None
    """Why, if it is paused."""
    filled_bytes: int
    """Fetched so far, compressed."""
    layers_left: int
    """Layers of which something is missing."""
    chunks_left: int
    """Chunks that are missing."""


class Fill:
    """The background fill of a node."""

    def __init__(
        self,
        files: LayerFiles,
        root: Path,
        rules: FillRules,
        prefetching: Callable[[], bool],
        crowded: Callable[[], bool],
    ) -> None:
        """`root`: on the cache's disk; `prefetching`: whether hot blocks are being fetched;
        `crowded`: whether the cache has no room for what nobody asked for."""
        self._files = files
        self._root = root
        self._rules = rules
        self._prefetching = prefetching
        self._crowded = crowded
        self._opened = _NEVER
        self._missed = _NEVER
        self._failed = _NEVER
        self._misses = 0
        self._layers = 0
        self.filled_bytes = 0
        """Fetched so far, compressed."""
        self.paused: Pause | None = Pause.START
        """Why nothing is filled now."""

    async def run(self) -> None:
        """Fill until cancelled."""
        if not self._rules.rate:
            return
        while True:
            layer = self._next()
            self.paused = pause(self._rules, self._state())
            if layer is None or self.paused:
                await asyncio.sleep(_LOOK_S)
            else:
                await self._bring(layer)

    def numbers(self) -> FillNumbers:
        """Return how far it is."""
        lacking = self._lacking()
        stage, paused = FillStage.RUNNING, None
        if not self._rules.rate:
            stage = FillStage.OFF
        elif not lacking:
            stage = FillStage.DONE
        elif self.paused:
            stage, paused = FillStage.PAUSED, self.paused
        left = sum(layer.reader.cache.presence.missing for layer in lacking)
        return FillNumbers(stage, paused, self.filled_bytes, len(lacking), left)

    def _next(self) -> OpenLayer | None:
        """Return the layer with the least missing."""
        return min(self._lacking(), key=lambda one: one.reader.cache.presence.missing, default=None)

    def _lacking(self) -> list[OpenLayer]:
        return [
            layer
            for layer in self._files.opened().values()
            if not layer.record.local
            and not layer.record.poisoned
            and layer.reader.cache.presence.missing
        ]

    def _state(self) -> FillState:
        now = time.monotonic()
        opened = self._files.opened().values()
        counters = [layer.reader.counters for layer in opened]
        misses = sum(counter.demand_misses + counter.joined for counter in counters)
        if len(opened) > self._layers:
            self._opened = now
        if misses != self._misses:
            self._missed = now
        self._layers, self._misses = len(opened), misses
        return FillState(
            now=now,
            opened=self._opened,
            missed=self._missed,
            failed=self._failed,
            prefetching=self._prefetching(),
            crowded=self._crowded(),
            free=_free(self._root),
            memory=available(Path("/proc/meminfo").read_text(encoding="ascii")),
        )

    async def _bring(self, layer: OpenLayer) -> None:
        reader = layer.reader
        low = reader.cache.presence.first_missing(0, len(reader.chunks))
        high = reader.chunks.reach(low, self._rules.run)
        start, end = reader.chunks.blob(low, high)
        began = time.monotonic()
        try:
            await reader.prefetch(low, high, Purpose.FILL)
        except (BootseerError, OSError) as error:
            self._failed = time.monotonic()
            fields = {"layer": layer.record.layer_digest, "reason": str(error)}
            log.info("fill.failed", extra={"fields": fields})
            return
        self.filled_bytes += end - start
        if not reader.cache.presence.missing:
            log.info("fill.layer_complete", extra={"fields": {"layer": reader.digest}})
        await asyncio.sleep(rest(self._rules, end - start, time.monotonic() - began))


def _free(directory: Path) -> float:
    found = os.statvfs(directory)
    return found.f_bavail / max(found.f_blocks, 1)
