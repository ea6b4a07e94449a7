"""What goes on behind the reads: caches made durable, whole layers checked, unused ones removed,
memory given back.

One loop, one step at a time; the event loop's thread alone changes what it looks at. A step that
fails is logged and tried again in the next round: nothing here may take the server down.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from bootseer.atomic import write_atomic
from bootseer.errors import BootseerError, CorruptError, RemoteError
from snapshotter.blocks.names import LayerName
from snapshotter.chunks.reader import LayerReader
from snapshotter.heap import give_back_freed_memory
from snapshotter.limits import DEFAULT
from snapshotter.serving.audit import Audited, audit
from snapshotter.serving.files import LayerFiles, OpenLayer
from snapshotter.serving.ingest import IngestJob, refetch
from snapshotter.serving.layout import Layout
from snapshotter.serving.lull import Lull
from snapshotter.serving.poison import Poisoned
from snapshotter.serving.workers import Workers

log = logging.getLogger(__name__)

_COLLECT_S: Final = 30.0
_AUDIT_AGAIN_S: Final = 60.0


def wants_audit(reader: LayerReader) -> bool:
    """Say whether all file contents of a layer are at hand and the whole was not checked yet.

    Chunks without file contents may still be missing; they are small and fetched for the check.
    """
    presence = reader.cache.presence
    if presence.audited:
        return False
    position = 0
    while (chunk := presence.first_missing(position, len(presence))) >= 0:
        start, end = reader.chunks.data(chunk)
        if start != end:
            return False
        position = chunk + 1
    return True


@dataclass(slots=True)
class AuditCounters:
    """How checks of whole layers ended."""

    passed: int = 0
    poisoned: int = 0


class Upkeep:
    """The daemon's background work."""

    def __init__(
        self,
        layout: Layout,
        files: LayerFiles,
        workers: Workers,
        collect: Callable[[], Awaitable[None]],
        remount: Callable[[LayerName], Awaitable[None]],
        ingest_job: Callable[[str], IngestJob],
        poisoned: Poisoned,
        interval_s: float,
        quiet_s: float,
    ) -> None:
        """Tie it together.

        Args:
            remount: mounts a layer anew that became local.
            interval_s: seconds between rounds, hence what a power cut may cost the cache.
            quiet_s: seconds without a read before a layer that came in whole is checked.
        """
        self._layout = layout
        self._files = files
        self._workers = workers
        self._collect = collect
        self._remount = remount
        self._ingest_job = ingest_job
        self._poisoned = poisoned
        self._interval_s = interval_s
        self._not_before: dict[LayerName, float] = {}
        self._lull = Lull(quiet_s, time.monotonic())
        self._reads_before = self._reads_given_back = 0
        self.audits = AuditCounters()

    async def run(self) -> None:
        """Work until cancelled."""
        collected = time.monotonic()
        while True:
            await asyncio.sleep(self._interval_s)
            await self._files.flush()
            await self._give_back()
            await self._audits()
            if time.monotonic() - collected > _COLLECT_S:
                collected = time.monotonic()
                await self._guarded("collect", self._collect())

    async def _give_back(self) -> None:
        """Give freed memory back, in the first round without a read."""
        reads = self._reads()
        if reads == self._reads_before and reads != self._reads_given_back:
            self._reads_given_back = reads
            self._files.forget_fresh()
            await asyncio.to_thread(give_back_freed_memory)
        self._reads_before = reads

    def _reads(self) -> int:
        return sum(layer.reader.counters.reads for layer in self._files.opened().values())

    async def _audits(self) -> None:
        """Check the layers that are due, one after the other, while nobody reads."""
        self._lull.note(self._reads(), time.monotonic())
        for name, layer in self._files.opened().items():
            if not self._due(name, layer):
                continue
            self._lull.note(self._reads(), time.monotonic())
            if self._lull.allows(time.monotonic()):
                await self._guarded("audit", self._audit(name, layer))

    def _due(self, name: LayerName, layer: OpenLayer) -> bool:
        if layer.record.local or layer.record.poisoned:
            return False
        return time.monotonic() >= self._not_before.get(name, 0.0) and wants_audit(layer.reader)

    async def _guarded(self, step: str, work: Awaitable[None]) -> None:
        try:
            await work
        except (BootseerError, OSError) as error:
            log.warning("upkeep.failed", extra={"fields": {"step": step, "reason": str(error)}})
        except Exception:
            log.exception("upkeep.bug", extra={"fields": {"step": step}})

    async def _audit(self, name: LayerName, layer: OpenLayer) -> None:
        self._not_before[name] = time.monotonic() + _AUDIT_AGAIN_S
        with layer.reader.holding():
            await layer.reader.fetch_all()
            await layer.reader.cache.flush()
            if layer.reader.cache.presence.missing:
                return  # it was being evicted, or the disk is full
            found = Audited("") if layer.record.proven else await self._verdict(name, layer)
            if self._files.find(name) is not layer or layer.reader.cache.presence.missing:
                # What was checked is not what is there: damage was found, or all of it went.
                fields = {"layer": layer.record.layer_digest}
                log.info("layer.check_void", extra={"fields": fields})
                return
            if found.problem:
                self._poison(name, layer, found.problem)
                return
            self._pass(name, layer, found.merkle_root)
        await self._guarded("remount", self._remount(name))

    async def _verdict(self, name: LayerName, layer: OpenLayer) -> Audited:
        """Check what is on disk; if that fails, check what the registry has now.

        The compressed bytes on disk may be torn by a crash, which is no lie of the index.
        """
        blob, index = layer.reader.cache.blob_path, self._layout.index(name)
        data = layer.reader.cache.data_path
        found = await self._workers.bulk(audit, blob, index, data, DEFAULT)
        if not found.problem:
            return found
        job = self._ingest_job(layer.record.sources[0])
        try:
            await self._workers.bulk(refetch, job, layer.record.layer_digest, blob)
        except CorruptError as error:
            raise RemoteError(error.message, temporary=True) from error
        return await self._workers.bulk(audit, blob, index, data, DEFAULT)

    def _pass(self, name: LayerName, layer: OpenLayer, merkle_root: str) -> None:
        layer.reader.cache.drop_blob()
        root = merkle_root or layer.record.merkle_root
        layer.record = replace(layer.record, local=True, merkle_root=root)
        write_atomic(self._layout.record(name), layer.record.encode())
        self.audits.passed += 1
        log.info("layer.verified", extra={"fields": {"layer": layer.record.layer_digest}})

    def _poison(self, name: LayerName, layer: OpenLayer, verdict: str) -> None:
        self._poisoned.add(layer.record.index_digest, verdict)
        layer.record = replace(layer.record, poisoned=f"its index lies: {verdict}")
        write_atomic(self._layout.record(name), layer.record.encode())
        fields = {
            "layer": layer.record.layer_digest,
            "index": layer.record.index_digest,
            "verdict": verdict,
            "do": "remove the index from the registry; find out who pushed it",
        }
        self.audits.poisoned += 1
        log.critical("index.lies", extra={"fields": fields})
