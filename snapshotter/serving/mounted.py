"""The layers' mounts: what is mounted, mounting it, and once more when there is something better.

Mounting is done by workers (see there); `names` says what is mounted, by what snapshots call it.

Race-free: a mount comes and goes under its layer's lock, and enters `names` behind the worker's
answer: whoever finds it there may hand it out.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bootseer.errors import BootseerError, CorruptError
from bootseer.kernel import mounts_below
from snapshotter.blocks.names import BlockName, LayerName, Role
from snapshotter.serving.files import read_record
from snapshotter.serving.layout import LAYER, LayerRecord, MountId
from snapshotter.serving.mounts import (
    MountJob,
    change_read_ahead,
    mount_layer,
    unmount_layer,
)
from snapshotter.serving.shelf import Shelf
from snapshotter.serving.workers import Workers

log = logging.getLogger(__name__)


class Devices(Protocol):
    """The devices of EROFS mounts."""

    async def prepare(self, name: BlockName) -> Path | None:
        """Make a block file ready to be served by us; or return a local file with all of it."""
        ...

    def wants_exact_reads(self, name: BlockName) -> bool:
        """Say whether a block file may be read only as far as somebody asks for it."""
        ...


@dataclass(frozen=True, slots=True)
class MountPolicy:
    """How layers are mounted."""

    via_loop: bool = False
    """Put loop devices under the EROFS mounts (kernels before 6.12)."""
    read_ahead_kb: int = -1
    """Read-ahead of the EROFS mounts; negative leaves the kernel's default."""


class Mounted:
    """What is mounted."""

    def __init__(
        self, shelf: Shelf, devices: Devices, workers: Workers, policy: MountPolicy
    ) -> None:
        """Begin with nothing; see `adopt`."""
        self._shelf = shelf
        self._blocks = devices
        self._workers = workers
        self._policy = policy
        self.names: set[str] = set()

    def path(self, layer: str) -> Path:
        """Return where a mount's tree is."""
        return self._shelf.layout.mount_point(MountId.parse(layer))

    async def ensure(self, layer: str) -> None:
        """Make sure that a layer is mounted, as after a reboot; cheap when it is.

        Raises:
            CorruptError: its index was caught lying: nothing new starts on it.
            BootseerError: it is not on this node any more, or the kernel refuses.
        """
        mount = MountId.parse(layer)
        self._refuse_lies(mount.name)
        if layer in self.names:
            return
        async with self._shelf.lock(mount.name):
            await self.mount(mount, read_record(self._shelf.layout, mount.name))
            self._shelf.touch(mount.name)

    def _refuse_lies(self, name: LayerName) -> None:
        layer = self._shelf.files.opened().get(name)
        record = layer.record if layer else read_record(self._shelf.layout, name)
        if record.poisoned:
            raise CorruptError(
                f"layer {record.layer_digest}: {record.poisoned}",
                hint="remove the image from this node and pull it again",
            )

    async def mount(self, mount: MountId, record: LayerRecord) -> None:
        """Mount a layer unless it is mounted. The caller holds its lock.

        Raises:
            BootseerError: the kernel refuses.
        """
        if str(mount) not in self.names:
            await self._workers.quick(mount_layer, await self._job(mount, record))
            self.names.add(str(mount))

    async def unmount(self, mount: MountId) -> None:
        """Unmount a layer, unless somebody reads there. The caller holds its lock."""
        target = self._shelf.layout.mount_point(mount)
        if await self._workers.quick(unmount_layer, target, lazy=False):
            self.names.discard(str(mount))
        else:
            log.warning("mount.busy", extra={"fields": {"path": str(target)}})

    async def remount(self, name: LayerName) -> None:
        """Mount a layer that became local once more, from its cache file, over what is mounted.

        Who starts from now on reads past us; who runs keeps what he has. There is no moment at
        which the directory is empty, as there would be between an unmount and a mount.

        Raises:
            BootseerError: it is not on this node any more, or the kernel refuses.
        """
        async with self._shelf.lock(name):
            record = read_record(self._shelf.layout, name)
            for mount in map(MountId.parse, sorted(self.names)):
                # Not hot layouts: what their page cache holds tells what a start used.
                if mount.name == name and mount == mount.natural:
                    await self._workers.quick(mount_layer, await self._job(mount, record))

    async def _job(self, mount: MountId, record: LayerRecord) -> MountJob:
        devices = await self._devices(mount, record)
        local = self._shelf.layout.blocks not in {device.parent for device in devices}
        role = mount.variant.role
        own = mount.block
        return MountJob(
            metadata=self._shelf.layout.metadata(mount),
            target=self._shelf.layout.mount_point(mount),
            devices=devices,
            via_loop=self._policy.via_loop,
            direct=self._blocks.wants_exact_reads(own) or (role is Role.DATA and local),
            read_ahead_kb=self._read_ahead(role, record),
        )

    def _read_ahead(self, role: Role, record: LayerRecord) -> int:
        """Return the read-ahead of EROFS, above that of the block file.

        None where it would do harm: what a start touches is recorded exactly, and lies in a hot
        area in its order; and what lies around a miss in a snapshot is brought anyway.
        """
        usual = role is Role.DATA and record.kind == LAYER
        return self._policy.read_ahead_kb if usual else 0

    async def _devices(self, mount: MountId, record: LayerRecord) -> tuple[Path, ...]:
        """Return the extra devices of a mount, in the order of its device table."""
        if not record.size:
            return ()
        own = mount.block
        hot = mount.variant.role is Role.HOT
        names = (BlockName(mount.name), own) if hot else (own,)
        return tuple([await self._device(name) for name in names])

    async def _device(self, name: BlockName) -> Path:
        return await self._blocks.prepare(name) or self._shelf.layout.block_file(name)

    async def raise_read_ahead(self, mount: MountId) -> None:
        """Give a mount the usual read-ahead: the start that went without one is over."""
        if str(mount) in self.names:
            target, wanted = self._shelf.layout.mount_point(mount), self._policy.read_ahead_kb
            await self._workers.quick(change_read_ahead, target, wanted)

    def adopt(self, *, fresh: bool) -> list[str]:
        """Learn what is mounted already; return mounts that a new FUSE connection made useless."""
        self._shelf.clear()
        below = mounts_below(self._shelf.layout.layers)
        stale = []
        for point in below:
            try:
                mount = self._shelf.layout.mounted_at(Path(point))
                record = read_record(self._shelf.layout, mount.name)
            except (ValueError, BootseerError):
                stale.append(point)
                continue
            if fresh and (not record.local or mount.variant.number):
                stale.append(point)
            else:
                self.names.add(str(mount))
        return stale

    async def drop(self, points: list[str]) -> None:
        """Take dead mounts out of the way; containers that still use them see I/O errors."""
        for point in points:
            log.warning("mount.dead", extra={"fields": {"path": point}})
            await self._workers.quick(unmount_layer, Path(point), lazy=True)
