"""Publishes the indexes of layers that were unpacked here, so that the next node need not.

Layers of an image are unpacked one after the other. What waits for an image is published in one
artifact: at once when no layer of it lacks an index any more, or else when nothing new came for a
while. What cannot be published is given up in the end and said once: the image works without.

Race-free: one task of the event loop's thread. Everything that waits is on disk and is looked up
anew in every round; what is removed with its layer meanwhile fails, and is passed over. `look` is
called after what it tells of is on disk, and a round begins by forgetting that it was.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bootseer.errors import BootseerError, RemoteError
from snapshotter.ports import ImageKey, IndexPublishing, MadeIndex
from snapshotter.serving.layout import Layout
from snapshotter.serving.unpublished import done, waiting

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_QUIET_S: Final = 60.0
"""Without a new layer, after which an image's other layers are not waited for."""
_TRIES: Final = 6
_FIRST_PAUSE_S: Final = 30.0


@dataclass(slots=True)
class _Image:
    """What is known of an image that waits."""

    layers: frozenset[str] = frozenset()
    changed: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    lacking: frozenset[str] | None = field(default=None)
    """Layers without a published index when it changed last."""


class Publisher:
    """The daemon's service that publishes."""

    def __init__(self, layout: Layout, publishing: IndexPublishing) -> None:
        """`publishing`: how registries are reached."""
        self._layout = layout
        self._publishing = publishing
        self._images: dict[ImageKey, _Image] = {}
        self._more = asyncio.Event()

    def look(self) -> None:
        """Note that a layer was unpacked."""
        self._more.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            self._more.clear()
            await self._round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S if self._images else None):
                    await self._more.wait()

    async def _round(self) -> None:
        found: dict[ImageKey, list[MadeIndex]] = defaultdict(list)
        for image, made in await asyncio.to_thread(lambda: list(waiting(self._layout))):
            found[image].append(made)
        for gone in self._images.keys() - found.keys():
            del self._images[gone]
        for image, layers in found.items():
            known = self._images.setdefault(image, _Image())
            try:
                if await self._due(image, known, layers):
                    await self._publish(image, layers)
            except (BootseerError, OSError) as error:
                await self._failed(image, known, layers, error)

    async def _due(self, image: ImageKey, known: _Image, layers: Sequence[MadeIndex]) -> bool:
        now = time.monotonic()
        digests = frozenset(made.layer_digest for made in layers)
        if digests != known.layers:
            known.layers, known.changed, known.lacking = digests, now, None
        if now < known.not_before:
            return False
        if known.lacking is None:
            known.lacking = await self._publishing.lacking(image)
        return known.lacking <= digests or now - known.changed > _QUIET_S

    async def _publish(self, image: ImageKey, layers: Sequence[MadeIndex]) -> None:
        artifact = await self._publishing.publish(image, layers)
        fields = {"image": image.reference, "artifact": artifact, "layers": len(layers)}
        log.info("index.published", extra={"fields": fields})
        await asyncio.to_thread(_all_done, layers)

    async def _failed(
        self,
        image: ImageKey,
        known: _Image,
        layers: Sequence[MadeIndex],
        error: BootseerError | OSError,
    ) -> None:
        known.failures += 1
        known.not_before = time.monotonic() + _FIRST_PAUSE_S * 2 ** (known.failures - 1)
        temporary = isinstance(error, OSError) or (
            isinstance(error, RemoteError) and error.temporary
        )
        fields = {"image": image.reference, "reason": str(error)}
        if temporary and known.failures < _TRIES:
            log.info("index.publish_failed", extra={"fields": fields})
            return
        advice = "give the node a login that may push, or set `snapshotter.unpack` to local"
        log.warning("index.not_published", extra={"fields": fields | {"do": advice}})
        await asyncio.to_thread(_all_done, layers)


def _all_done(layers: Sequence[MadeIndex]) -> None:
    for made in layers:
        done(made)
