"""What becomes of recordings that are over: kept and published, or passed over as too small.

Race-free: the event loop's thread only; a recording is noted as taken before the first await of
its finishing, so it is finished once.
"""

import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from enum import StrEnum
from typing import Any, Final

from cachetools import LRUCache

from bootseer.errors import BootseerError
from snapshotter.hot.record import Record
from snapshotter.ports import HotStore, ImageKey
from snapshotter.serving.layout import MountId
from snapshotter.serving.provider import Provider
from snapshotter.starts.hotimages import HotImages
from snapshotter.starts.packing import Packing, Wanted
from snapshotter.starts.recordings import Recording, Recordings

log = logging.getLogger(__name__)

_LEAST_BLOCKS: Final = 256
"""A record of fewer blocks is not worth keeping."""
_TINY: Final = 1024
"""Images and workloads of which it is remembered that they touch too little."""
_REMEMBERED: Final = 32
"""Recordings that are over and still described."""


class Outcome(StrEnum):
    """What became of a recording."""

    PUBLISHED = "published"
    """Somewhere at least."""
    SMALL = "small"
    """The container touched too little for a record."""
    LOST = "lost"
    """No store took the record."""


class Finishing:
    """Finishes recordings."""

    def __init__(
        self,
        recordings: Recordings,
        stores: Sequence[HotStore],
        images: HotImages,
        packing: Packing | None,
        provider: Provider,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """`stores`: where records are put, the nearest first; without `packing` none are packed."""
        self._recordings = recordings
        self._stores = stores
        self._images = images
        self._packing = packing
        self._provider = provider
        self._spawn = spawn
        self._taken: set[int] = set()
        self._tiny: LRUCache[tuple[str, str], bool] = LRUCache(_TINY)
        self._done: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self.outcomes = dict.fromkeys(Outcome, 0)
        """Recordings that are over, by what became of them."""

    def begin(self) -> None:
        """Begin to finish what is over by now."""
        for recording in self._recordings.over():
            if recording.number not in self._taken:
                self._taken.add(recording.number)
                self._spawn(self._finish(recording))

    def is_tiny(self, image: ImageKey, workload: str) -> bool:
        """Say whether a start touched too little, so that it is not recorded again and again."""
        return (image.manifest_digest, workload) in self._tiny

    def describe(self) -> list[dict[str, Any]]:
        """Return what became of the last recordings, for people and tools."""
        return list(self._done)

    async def _finish(self, recording: Recording) -> None:
        record = self._recordings.record(recording)
        outcome, reason = await self._keep(recording, record)
        self.outcomes[outcome] += 1
        fields: dict[str, Any] = {
            "image": recording.image.reference,
            "workload": recording.workload,
            "blocks": record.ranges.blocks,
            "ended": record.ended.name.lower(),
            "seconds": record.length_ms / 1000,
            "outcome": reason,
        }
        log.info("hot.recorded", extra={"fields": fields})
        published = outcome is Outcome.PUBLISHED
        self._done.append(fields | {"number": recording.number, "published": published})
        if published:
            self._images.forget(recording.image)
        if published and self._packing:
            names = tuple(watched.name for watched in recording.layers)
            self._packing.want(Wanted(recording.image, recording.workload, names))
        self._recordings.hand_on(recording)
        self._taken.discard(recording.number)
        for watched in recording.layers:
            mount = MountId.parse(watched.mount)
            stand_in = MountId(mount.name, mount.bottom, recording.variant)
            await self._provider.mounted.raise_read_ahead(stand_in)

    async def _keep(self, recording: Recording, record: Record) -> tuple[Outcome, str]:
        """Give a record to every store; return what became of it, and that in words."""
        if record.ranges.blocks < _LEAST_BLOCKS:
            self._tiny[recording.image.manifest_digest, recording.workload] = True
            return Outcome.SMALL, "too little to be worth keeping"
        reasons = []
        for store in self._stores:
            try:
                await store.publish_record(recording.image, record)
            except (BootseerError, OSError) as error:
                reasons.append(str(error))
                fields = {
                    "image": recording.image.reference,
                    "reason": str(error),
                    "do": "allow this node to push to the repository, or set hot.store",
                }
                log.warning("hot.record_not_published", extra={"fields": fields})
        if len(reasons) == len(self._stores):
            return Outcome.LOST, reasons[0]
        return Outcome.PUBLISHED, Outcome.PUBLISHED.value
