"""Finds out how much of what was prefetched a start did not use.

Each hot area is measured once, when the first start on it is over: as long after it began as starts
are recorded. What makes prefetching useless for an image shows in its first start already.

Race-free: the event loop's thread only; one measurement at a time.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from bootseer.errors import BootseerError
from snapshotter.blocks.names import BlockName, Role
from snapshotter.limits import DEFAULT
from snapshotter.serving.layout import Layout, MountId
from snapshotter.serving.workers import Workers
from snapshotter.starts.areas import BLOCKS, Areas
from snapshotter.starts.used import HotMount, used_blocks_of_all

log = logging.getLogger(__name__)

_MOST_S: Final = 60.0
"""A measurement that takes longer, for want of a worker perhaps, is given up."""


class Usage:
    """The hot areas that are to be measured."""

    def __init__(self, layout: Layout, areas: Areas, workers: Workers, after: float) -> None:
        """`after`: seconds from a start until it is over."""
        self._layout = layout
        self._areas = areas
        self._workers = workers
        self._after = after
        self._due: dict[BlockName, tuple[float, MountId]] = {}
        self._busy = False

    def started(self, mounts: Iterable[MountId], now: float) -> None:
        """Note that a container starts on these mounts."""
        for mount in mounts:
            name = mount.block
            area = self._areas.opened().get(name)
            if mount.variant.role is Role.HOT and area is not None and area.unused is None:
                self._due.setdefault(name, (now + self._after, mount))

    async def measure_due(self, now: float) -> None:
        """Measure the areas whose start is over."""
        due = {name: mount for name, (at, mount) in self._due.items() if at <= now}
        if self._busy or not due:
            return
        self._busy = True
        for name in due:
            del self._due[name]
        try:
            async with asyncio.timeout(_MOST_S):
                jobs = [self._job(mount) for mount in due.values()]
                found = await self._workers.bulk(used_blocks_of_all, jobs, DEFAULT)
        except (BootseerError, OSError, TimeoutError) as error:
            reason = str(error) or "it took too long"
            log.info("hot.usage_unknown", extra={"fields": {"reason": reason}})
        else:
            for name, used in zip(due, found, strict=True):
                self._note(name, used)
        finally:
            self._busy = False

    def _job(self, mount: MountId) -> HotMount:
        blocks = self._layout.variant(mount.name, mount.variant) / BLOCKS
        return HotMount(self._layout.index(mount.name), blocks, self._layout.mount_point(mount))

    def _note(self, name: BlockName, used: int | str) -> None:
        area = self._areas.opened().get(name)
        fields: dict[str, object] = {"area": str(name)}
        if isinstance(used, str):
            log.info("hot.usage_unknown", extra={"fields": fields | {"reason": used}})
        elif area is not None:
            area.unused = len(area.blocks) - used
            fields |= {"blocks": len(area.blocks), "unused": area.unused}
            log.info("hot.used", extra={"fields": fields})
