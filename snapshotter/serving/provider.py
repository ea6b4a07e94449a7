"""Layers as the snapshot store asks for them: made present (`making`), mounted (`mounted`), let go
of (`retention`). It tells when one may be unused, and knows nothing of how.

Race-free: nothing is kept here.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snapshotter.serving.files import read_record
from snapshotter.serving.layout import MountId
from snapshotter.serving.making import Making
from snapshotter.serving.mounted import Devices, Mounted, MountPolicy
from snapshotter.serving.retention import Retention, Variants
from snapshotter.serving.shelf import Shelf
from snapshotter.serving.workers import Workers
from snapshotter.snapshots.ports import LayerMount, LayerRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provider:
    """Provides layers (the part of `LayerProvider` that does not know of starts)."""

    shelf: Shelf
    making: Making
    mounted: Mounted
    retention: Retention

    def path(self, layer: str) -> Path:
        """Return where a mount's tree is."""
        return self.mounted.path(layer)

    async def provide(self, request: LayerRequest) -> LayerMount | None:
        """Make a layer of an image present and mounted; None if containerd should unpack it.

        Raises:
            BootseerError: it should have worked and did not.
        """
        began = time.monotonic()
        name, how = await self.making.find(request)
        if name is None:
            return None
        record = read_record(self.shelf.layout, name)
        mount = MountId(name, bottom=request.bottom and record.two_faced)
        async with self.shelf.lock(name):
            await self.mounted.mount(mount, record)
            self.shelf.touch(name)
        fields = {
            "layer": request.layer_digest,
            "image": request.image_ref,
            "how": how,
            "mount": str(mount),
            "ms": round(1000 * (time.monotonic() - began)),
        }
        log.info("layer.provided", extra={"fields": fields})
        return LayerMount(str(mount), record.size, record.inodes)

    async def ensure(self, layer: str) -> None:
        """Make sure that a layer is mounted, as after a reboot; cheap when it is.

        Raises:
            CorruptError: its index was caught lying: nothing new starts on it.
            BootseerError: it is not on this node any more, or the kernel refuses.
        """
        await self.mounted.ensure(layer)

    async def release(self, layer: str) -> None:
        """Unmount and close a layer: the last snapshot that used it is gone."""
        await self.retention.release(layer)


class Blocks(Devices, Variants, Protocol):
    """The block files of all layers."""


def open_provider(
    shelf: Shelf,
    making: Callable[[Shelf], Making],
    blocks: Blocks,
    workers: Workers,
    policy: MountPolicy,
    used: Callable[[], Awaitable[set[str]]],
) -> Provider:
    """Tie a provider together; `used` returns the mounts that snapshots name."""
    mounted = Mounted(shelf, blocks, workers, policy)
    return Provider(shelf, making(shelf), mounted, Retention(shelf, mounted, blocks, used))
