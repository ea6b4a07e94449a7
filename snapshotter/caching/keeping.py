"""Keeps the cache within its bounds: looks when the disk changed, removes what the plan says.

Race-free: the event loop's thread only, one round at a time (`_turn`). What was measured may be
stale when it is acted on, so every step is checked again by whoever takes it: a layer that came
into use is not removed (`Retention.evict`, behind the layer's lock), one that became local is not
shrunk, and chunks that are being read are not given up (`LayerReader.evict`).
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bootseer.errors import BootseerError
from snapshotter.blocks.names import LayerName
from snapshotter.caching.plan import Bounds, CachedLayer, DiskSpace, Hold, Plan, is_crowded, plan
from snapshotter.caching.usage import OnDisk, find, space_of
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.layout import Layout
from snapshotter.serving.use import note_use

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_STAMP_S: Final = 30.0
_AT_LATEST_S: Final = 300.0
"""The cache is measured at least so often, for what nobody noticed."""
_FIRST_S: Final = 20.0
"""Seconds from the start until then: others have more to do."""
_REST: Final = 50
"""It is measured for at most a fiftieth of the time."""
_STEP: Final = 64 << 20
"""Bytes by which the disk's free space changes before the cache is measured again."""


class Layers(Protocol):
    """Who knows which layers are needed."""

    async def in_use(self) -> set[LayerName]:
        """Return the layers that are mounted or that a snapshot names."""
        ...

    async def evict(self, name: LayerName) -> bool:
        """Remove a layer that nothing uses; False if something does."""
        ...


@dataclass(slots=True)
class EvictionCounters:
    """What had to go so far."""

    layers: int = 0
    """Layers that were removed whole."""
    bytes: int = 0
    """Bytes that were given back, of whole layers and of chunks."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The cache at one moment."""

    disk: DiskSpace
    layers: Sequence[CachedLayer] = ()
    found: Sequence[OnDisk] = ()
    """The same layers, as they are on disk."""
    took: float = 0.0
    """Seconds of the processor."""

    @property
    def size(self) -> int:
        """Bytes that all layers take."""
        return sum(layer.size for layer in self.layers)


@dataclass(slots=True)
class _Last:
    """When something was done last, and what was seen then."""

    measured: float
    stamped: float
    free: int
    took: float = 0.0
    """Seconds of the processor that measuring took: others' work is not to put it off."""
    reads: dict[LayerName, int] = field(default_factory=dict)


class CacheKeeping:
    """The cache of a node."""

    def __init__(self, layout: Layout, files: LayerFiles, layers: Layers, bounds: Bounds) -> None:
        self._layout = layout
        self._files = files
        self._layers = layers
        self._room = files.room
        self.bounds = bounds
        self._last = _Last(float("-inf"), float("-inf"), 0)
        self._turn = asyncio.Lock()
        self._crowded = False
        self.evicted = EvictionCounters()

    @property
    def is_crowded(self) -> bool:
        """Whether nothing should be fetched that nobody asked for."""
        return self._crowded or self._room.refusing or not self._room.takes

    async def run(self) -> None:
        """Keep the bounds until cancelled."""
        now = time.monotonic()
        self._last = _Last(now - _AT_LATEST_S + _FIRST_S, now, space_of(self._layout.layers).free)
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._look()
            except (BootseerError, OSError) as error:
                log.warning("cache.keeping_failed", extra={"fields": {"reason": str(error)}})
            except Exception:
                log.exception("cache.bug")

    async def _look(self) -> None:
        now = time.monotonic()
        if now - self._last.stamped > _STAMP_S:
            self._last.stamped = now
            await asyncio.to_thread(note_use, self._layout, self._read_since())
        free = space_of(self._layout.layers).free
        since = now - self._last.measured
        step = min(_STEP, self.bounds.size // 64 or _STEP)
        wanted = abs(free - self._last.free) > step
        wanted |= self._room.refusing or not self._room.takes
        if since > _AT_LATEST_S or (wanted and since > _REST * self._last.took):
            await self.keep_bounds()

    def _read_since(self) -> Iterable[LayerName]:
        """Return the layers of which something was read since this was asked last."""
        now = {name: layer.reader.counters.reads for name, layer in self._files.opened().items()}
        before, self._last.reads = self._last.reads, now
        return [name for name, reads in now.items() if reads != before.get(name, 0)]

    async def measure(self) -> Measured:
        """Return what is in the cache now."""
        found, took = await asyncio.to_thread(_timed_find, self._layout)
        used = await self._layers.in_use()
        disk = space_of(self._layout.layers)
        return Measured(disk, [_cached(one, one.name in used) for one in found], found, took)

    async def keep_bounds(self) -> None:
        """Remove what is too much, now."""
        async with self._turn:
            measured = await self.measure()
            self._last.took = measured.took
            wanted = plan(self.bounds, measured.disk, measured.layers)
            sizes = {layer.name: layer.size for layer in measured.layers}
            freed = await self._remove(wanted.remove, sizes)
            freed += await self._shrink(wanted)
            self._crowded = is_crowded(self.bounds, measured.layers)
            self._say(wanted, freed)
            self._last.measured = time.monotonic()
            self._last.free = space_of(self._layout.layers).free

    async def collect(self, *, dry_run: bool) -> list[CachedLayer]:
        """Remove every layer that nothing uses; return those that were (or would be) removed."""
        async with self._turn:
            measured = await self.measure()
            unused = [layer for layer in measured.layers if layer.hold is Hold.NOTHING]
            if dry_run:
                return unused
            return [layer for layer in unused if await self._remove_one(layer.name, layer.size)]

    async def _remove(self, names: Sequence[LayerName], sizes: dict[LayerName, int]) -> int:
        return sum([sizes[name] for name in names if await self._remove_one(name, sizes[name])])

    async def _remove_one(self, name: LayerName, size: int) -> bool:
        removed = await self._layers.evict(name)
        if removed:
            self.evicted.layers += 1
            self.evicted.bytes += size
        return removed

    async def _shrink(self, wanted: Plan) -> int:
        freed = 0
        for step in wanted.shrink:
            try:
                layer = await self._files.open(step.name)
                # A mount of a local layer reads its cache file past us: it would read zeros.
                if not layer.record.local:
                    freed += await layer.reader.evict(step.size)
            except (BootseerError, OSError) as error:
                fields = {"layer": step.name, "reason": str(error)}
                log.warning("cache.not_evicted", extra={"fields": fields})
        self.evicted.bytes += freed
        return freed

    def _say(self, wanted: Plan, freed: int) -> None:
        if freed:
            fields = {"freed": freed, "layers": len(wanted.remove), "shrunk": len(wanted.shrink)}
            log.info("cache.evicted", extra={"fields": fields})
        if wanted.short:
            self._room.close(f"{wanted.short} bytes too many, and all the rest is mounted")
        else:
            self._room.open()


def _timed_find(layout: Layout) -> tuple[Sequence[OnDisk], float]:
    began = time.thread_time()
    return find(layout), time.thread_time() - began


def _cached(found: OnDisk, in_use: bool) -> CachedLayer:
    hold = Hold.NOTHING
    if in_use:
        hold = Hold.PINNED if found.record is None or found.record.local else Hold.MOUNTED
    evictable = found.data if hold is Hold.MOUNTED else 0
    return CachedLayer(found.name, found.size, found.used, hold, evictable)
