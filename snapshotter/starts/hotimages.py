"""The hot blocks of images on a node: looked for when an image is first seen, and made ready.

What is known of an image and workload is looked up once and believed for a while. If there is a
pack or records, what they name is brought (`bringing`).

Race-free: the event loop's thread only. An image enters `_images` before the first await of its
work, so there is one search, one set of hot areas and one feed however many containers start.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from bootseer.errors import BootseerError, CorruptError, first_error
from snapshotter.ports import ImageKey
from snapshotter.serving.layout import MountId
from snapshotter.starts.area import FeedCounters
from snapshotter.starts.bringing import Bringing
from snapshotter.starts.course import Course, Known, choose
from snapshotter.starts.hotimage import HotImage, HotServices
from snapshotter.starts.searching import is_news, search
from snapshotter.starts.usefulness import is_useless
from snapshotter.tally import Tally

log = logging.getLogger(__name__)

_FOUND_S: Final = 600.0
_MISSED_S: Final = 5.0
"""How long it is believed that there is a record, or none: somebody may publish one. What failed is
tried again as soon, unless what was found is broken: that is fetched again by no start."""


class HotImages:
    """All of a node's hot images."""

    def __init__(self, services: HotServices, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._with = services
        self._clock = clock
        self._images: dict[tuple[str, str], HotImage] = {}
        self._bringing = Bringing(services)

    @property
    def feeds(self) -> Tally[FeedCounters]:
        """What all feeds did, those that are over included."""
        return self._bringing.feeds

    def close(self) -> None:
        """Unpack nothing more; what is being unpacked is not waited for."""
        self._with.executor.shutdown(wait=False, cancel_futures=True)

    def get(self, image: ImageKey, workload: str = "") -> HotImage:
        """Return what is known and done for an image; the work begins if it has not."""
        key = (image.manifest_digest, workload)
        hot = self._images.get(key)
        if hot is None or self._is_over(hot):
            self._images = {k: one for k, one in self._images.items() if not self._is_over(one)}
            hot = self._images[key] = HotImage(image, workload)
            self._with.spawn(self._told_of(hot))
        return hot

    async def _told_of(self, hot: HotImage) -> None:
        about = {"image": hot.image.reference, "workload": hot.workload}
        with self._with.stages.stage("image.prefetch", **about) as found:
            await self._work(hot)
            brought = hot.feed.counters.brought if hot.feed else 0
            found |= {"source": hot.source, "failure": hot.failure, "bytes": brought}

    def _is_over(self, hot: HotImage) -> bool:
        """Say whether nothing is known of an image any more: time went by, or its areas went."""
        gone = not all(area in self._with.areas for area in hot.areas.values())
        return not hot.going_on and (gone or hot.spoiled or hot.good_until < self._clock())

    def mend(self, mount: MountId) -> None:
        """Let the next start write the metadata of a hot layout anew: it cannot be mounted."""
        self._with.layout.metadata(mount).unlink(missing_ok=True)
        for hot in self._images.values():
            hot.spoiled |= mount.block in hot.areas.values()

    def forget(self, image: ImageKey) -> None:
        """Look again at the next start: there is a new record, or a pack."""
        for hot in self._images.values():
            if hot.image.manifest_digest == image.manifest_digest and not hot.going_on:
                hot.good_until = float("-inf")

    def stop_useless(self) -> None:
        """End prefetches that bring what nobody reads, while other things are waited for."""
        for hot in self._images.values():
            if not hot.going_on or hot.feed is None or hot.feed.over:
                continue
            missed = self._bringing.missed(hot) - hot.missed_before
            if is_useless(hot.feed.counters.brought, missed):
                hot.failure = "containers read other blocks than those that were recorded"
                fields = {"image": hot.image.reference, "workload": hot.workload}
                log.warning("hot.useless", extra={"fields": fields | {"missed_bytes": missed}})
                hot.feed.cancel()

    def all(self) -> list[HotImage]:
        """Return all images that were seen."""
        return list(self._images.values())

    async def _work(self, hot: HotImage) -> None:
        found = False
        try:
            at_hand = await self._from_disk(hot)
            known, store = await search(hot, self._with)
            found = at_hand or bool(known and (known.pack or known.records))
            if at_hand and not is_news(known, hot.source):
                return
            hot.known = known
            course = choose(self._with.policy, known, recording=False)
            if course is Course.PACK and known and known.pack:
                blobs = await store.blobs(hot.image)
                course = await self._bringing.from_pack(hot, known.pack, blobs)
            if course is Course.RECORDS and hot.known:
                await self._bringing.from_records(hot, hot.known.records)
        except (BootseerError, OSError, TimeoutError, BaseExceptionGroup) as error:
            cause = first_error(error)
            if not isinstance(cause, BootseerError | OSError | TimeoutError):
                raise
            hot.failure = str(cause) or type(cause).__name__
            found = found and isinstance(cause, CorruptError)
            fields = {"image": hot.image.reference, "workload": hot.workload}
            log.warning("hot.given_up", extra={"fields": fields | {"reason": hot.failure}})
        finally:
            hot.good_until = self._clock() + (_FOUND_S if found else _MISSED_S)
            for name, ready in hot.ready.items():
                if not ready.is_set():
                    del hot.areas[name]
                    ready.set()
            hot.settled.set()

    async def _from_disk(self, hot: HotImage) -> bool:
        """Take the hot areas that are here, before anybody is asked; False if there are none."""
        if self._with.policy.in_place:
            return False
        areas = await self._with.areas.whole(hot.image.manifest_digest, hot.workload)
        if not areas:
            return False
        hot.source = self._with.areas.origin(next(iter(areas.values()))).source
        hot.areas.update(areas)
        for name in areas:
            hot.ready[name] = asyncio.Event()
            hot.ready[name].set()
        hot.known = Known(at_hand=True)
        hot.settled.set()
        return True
