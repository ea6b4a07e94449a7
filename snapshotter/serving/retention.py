"""Lets go of what nothing uses: unmounts it, closes it, and removes it when its space is wanted.

What may be removed is never counted: `collect` compares what is on disk with what the snapshots
name, so a crash at any point leaves nothing that the next collection does not find. A layer that no
snapshot names is unmounted and closed; its files stay in the cache until somebody wants their space
(`evict`).

Race-free: whether a layer is used is looked at under its lock, right before it goes; and who wants
one touches it under that lock, or before anything is awaited.
"""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from bootseer.errors import CorruptError, NotFoundError
from snapshotter.blocks.names import NATURAL, BlockName, LayerName, Role, parse_name
from snapshotter.serving.files import read_record
from snapshotter.serving.layout import MountId
from snapshotter.serving.mounted import Mounted
from snapshotter.serving.shelf import Shelf
from snapshotter.serving.use import note_use

log = logging.getLogger(__name__)

_AHEAD_S: Final = 60.0
"""A layer that was made present ahead of its pull is kept open for so long."""


class Variants(Protocol):
    """The block files that starts made beside a layer's own."""

    async def close(self, name: BlockName) -> bool:
        """Close a block file that nobody reads; False if it is not worth keeping on disk."""
        ...

    async def forget(self, name: BlockName) -> None:
        """Close a block file that nobody can read any more."""
        ...

    def worth_keeping(self) -> set[str]:
        """Return the mounts that are kept for the next start, as long as their layer is used."""
        ...


class Retention:
    """Decides what stays mounted, open and on disk."""

    def __init__(
        self,
        shelf: Shelf,
        mounted: Mounted,
        variants: Variants,
        used: Callable[[], Awaitable[set[str]]],
    ) -> None:
        """`used` returns the mounts that snapshots name."""
        self._shelf = shelf
        self._mounted = mounted
        self._blocks = variants
        self._used = used

    async def release(self, layer: str) -> None:
        """Unmount and close a layer: the last snapshot that used it is gone."""
        mount = MountId.parse(layer)
        if mount.variant.role is Role.HOT:
            return  # the next start wants it; it goes with its layer
        if mount == mount.natural:
            self._shelf.is_done_with(mount.name)
        if mount.variant.role is Role.RECORD:
            await self._unmount(mount, grace=False)  # nobody else was given it
        unused = self._mounted.names - await self._kept()
        for other in sorted(unused, key=len, reverse=True):
            if MountId.parse(other).name == mount.name:
                await self._unmount(MountId.parse(other))
        note_use(self._shelf.layout, [mount.name])
        await self._rest(mount.name)

    async def collect(self) -> None:
        """Unmount and close what no snapshot names."""
        if not self._shelf.layout.layers.is_dir():
            return
        kept = await self._kept()
        for mount in sorted(self._mounted.names - kept):
            await self._unmount(MountId.parse(mount))
        names = {MountId.parse(m).name for m in kept | self._mounted.names}
        kept |= self._blocks.worth_keeping()
        resting = self._shelf.resting - self._shelf.files.opened().keys()
        for path in list(self._shelf.layout.layers.iterdir()):
            name = parse_name(path.name)
            if name and name not in resting:
                await self._remove_variants(name, path, kept)
                if name not in names and self._shelf.is_idle(name, _AHEAD_S):
                    await self._rest(name)

    async def _kept(self) -> set[str]:
        """Return the mounts that snapshots name, and what goes with these."""
        used = await self._used()
        names = {MountId.parse(mount).name for mount in used}
        worth = self._blocks.worth_keeping()
        return used | {mount for mount in worth if MountId.parse(mount).name in names}

    async def in_use(self) -> set[LayerName]:
        """Return the layers that snapshots name, or that are mounted all the same."""
        return {MountId.parse(mount).name for mount in await self._used() | self._mounted.names}

    async def _remove_variants(self, name: LayerName, directory: Path, kept: set[str]) -> None:
        """Remove the files of variants that are neither mounted nor worth keeping."""
        needed = {
            MountId.parse(m).variant for m in kept | self._mounted.names if m.startswith(name)
        }
        for path in directory.iterdir():
            block = BlockName.parse(name + path.name)
            if block is None or block.variant in needed or block.variant == NATURAL:
                continue
            async with self._shelf.lock(name):
                if self._shelf.is_idle(name):
                    await self._remove_variant(block)

    async def _remove_variant(self, block: BlockName) -> None:
        await self._blocks.forget(block)
        path = self._shelf.layout.variant(block.layer, block.variant)
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    async def _unmount(self, mount: MountId, *, grace: bool = True) -> None:
        async with self._shelf.lock(mount.name):
            if str(mount) in await self._kept() or (grace and not self._shelf.is_idle(mount.name)):
                return
            await self._mounted.unmount(mount)

    async def _rest(self, name: LayerName) -> None:
        """Close a layer that nothing uses. One that cannot be used again is removed."""
        async with self._shelf.lock(name):
            if not self._shelf.is_idle(name) or name in await self.in_use():
                return
            try:
                usable = not read_record(self._shelf.layout, name).poisoned
            except (NotFoundError, CorruptError):
                usable = False
            if not usable:
                await self._remove(name)
                return
            for block in self._hot_blocks(name):
                if not await self._blocks.close(block):
                    await self._remove_variant(block)
            if await self._shelf.files.retire(name):
                self._shelf.resting.add(name)
                log.info("layer.unused", extra={"fields": {"layer": name}})

    async def evict(self, name: LayerName) -> bool:
        """Remove a layer that nothing uses. False if something does, or did a moment ago."""
        async with self._shelf.lock(name):
            if not self._shelf.is_idle(name) or name in await self.in_use():
                return False
            await self._remove(name)
            return True

    async def _remove(self, name: LayerName) -> None:
        """Remove a layer whose lock we hold."""
        self._shelf.layout.record(name).unlink(missing_ok=True)
        for block in self._hot_blocks(name):
            await self._blocks.forget(block)
        await self._shelf.files.close(name)
        self._shelf.resting.discard(name)
        await asyncio.to_thread(shutil.rmtree, self._shelf.layout.layer(name), ignore_errors=True)
        log.info("layer.removed", extra={"fields": {"layer": name}})

    def _hot_blocks(self, name: LayerName) -> list[BlockName]:
        found = (BlockName.parse(name + p.name) for p in self._shelf.layout.layer(name).glob("h*"))
        return [block for block in found if block]
