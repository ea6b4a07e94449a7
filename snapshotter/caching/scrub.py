"""Hashes what is cached again; what is wrong is dropped, and fetched again where somebody needs it.

A disk may lose bits long after they were written and checked. A layer that nothing uses only
forgets the chunk, or goes as a whole if it claims to be complete. Of a layer that is served the
chunk is fetched and written anew. Where that is impossible and a mount reads the file past us, the
layer is condemned: reads through us fail, nobody else gets it, and it goes when nothing uses it.

Race-free: one run at a time (`_turn`); chunks are hashed in a worker process, with the layer held:
none of it is evicted and it stays open, unless all of it is removed, which is seen when the answer
is here. Nothing is awaited between looking whether it claims to be whole and forgetting what is
wrong, and the check that makes it claim that (`Upkeep`) looks right before whether all is there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bootseer.atomic import write_atomic
from bootseer.errors import BootseerError, NotFoundError
from snapshotter.blocks.names import LayerName
from snapshotter.caching.hashing import Hashed, hash_chunks
from snapshotter.caching.keeping import Layers
from snapshotter.chunks.fetching import Purpose
from snapshotter.serving.files import LayerFiles, OpenLayer
from snapshotter.serving.layout import LAYER, Layout
from snapshotter.serving.workers import Workers

log = logging.getLogger(__name__)

_DAMAGED: Final = "what is cached of it is damaged and cannot be fetched again"


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of one layer."""

    name: LayerName
    digest: str
    checked: int
    """Bytes that were hashed."""
    wrong: tuple[int, ...] = ()
    """Chunks that were not what the index says (counted from 0)."""
    outcome: str = "right"
    """`right`, `dropped`, `fetched` (again), `condemned`, or `unchecked`: of its chunks only the
    compressed bytes have a digest."""
    reason: str = ""

    def document(self) -> dict[str, Any]:
        """Return it for people and tools."""
        return {
            "name": self.name,
            "digest": self.digest,
            "checked_bytes": self.checked,
            "wrong_chunks": len(self.wrong),
            "outcome": self.outcome,
            "reason": self.reason,
        }


class Scrub:
    """Checks the cache of a node."""

    def __init__(self, layout: Layout, files: LayerFiles, layers: Layers, workers: Workers) -> None:
        self._layout = layout
        self._files = files
        self._layers = layers
        self._workers = workers
        self._turn = asyncio.Lock()

    async def verify(self, names: Sequence[LayerName] | None = None) -> AsyncIterator[Verified]:
        """Check some layers, or all; yield each as it is done."""
        async with self._turn:
            for name in sorted(self._files.names()) if names is None else names:
                try:
                    yield await self._verify(name)
                except NotFoundError:
                    continue  # it was removed meanwhile
                except (BootseerError, OSError) as error:
                    yield Verified(name, "", 0, outcome="unchecked", reason=str(error))

    async def _verify(self, name: LayerName) -> Verified:
        layer = await self._files.open(name)
        if layer.record.kind != LAYER:
            return Verified(name, layer.record.layer_digest, 0, outcome="unchecked")
        with layer.reader.holding():
            done = await self._check(name, layer)
        if name not in await self._layers.in_use():
            await self._files.retire(name)
        return done

    async def _check(self, name: LayerName, layer: OpenLayer) -> Verified:
        here = layer.reader.cache.presence.copy()
        found: Hashed = await self._workers.bulk(
            hash_chunks, layer.reader.cache.data_path, self._layout.index(name), here
        )
        if self._files.find(name) is not layer:
            raise NotFoundError(f"layer {name} was removed while it was checked")
        if not found.possible:
            return Verified(name, layer.record.layer_digest, 0, outcome="unchecked")
        wrong = tuple(c for c in found.wrong if c in layer.reader.cache.presence)
        done = Verified(name, layer.record.layer_digest, found.size, wrong)
        if wrong:
            fields = {"layer": done.digest, "chunks": len(wrong)}
            log.error("cache.damaged", extra={"fields": fields})
            done = await self._mend(name, layer, done)
        return done

    async def _mend(self, name: LayerName, layer: OpenLayer, done: Verified) -> Verified:
        used = name in await self._layers.in_use()
        if layer.record.local and not used:
            if await self._layers.evict(name):
                return replace(done, outcome="dropped")
            used = True  # or is about to be: what claims to be whole has to be mended
        layer.reader.distrust(done.wrong)
        await layer.reader.cache.flush()
        if not used:
            return replace(done, outcome="dropped")
        try:
            for chunk in done.wrong:
                await layer.reader.prefetch(chunk, chunk + 1, Purpose.FILL)
        except BootseerError as error:
            if layer.record.local:
                self._condemn(name, layer)
                return replace(done, outcome="condemned", reason=str(error))
            return replace(done, outcome="dropped", reason=str(error))
        if any(chunk not in layer.reader.cache.presence for chunk in done.wrong):
            return replace(done, outcome="dropped", reason="the disk does not take it")
        return replace(done, outcome="fetched")

    def _condemn(self, name: LayerName, layer: OpenLayer) -> None:
        layer.record = replace(layer.record, poisoned=_DAMAGED)
        write_atomic(self._layout.record(name), layer.record.encode())
        fields = {
            "layer": layer.record.layer_digest,
            "do": "end the containers that use it and pull the image again; look at the disk",
        }
        log.critical("cache.condemned", extra={"fields": fields})
