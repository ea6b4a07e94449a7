"""Makes a layer present: index found or made, checked, metadata written, mounted.

The snapshot store asks for layers (`provide`), tells when one may be unused (`release`) and knows
nothing of how. What may be removed is never counted: `collect` compares what is on disk with what
the snapshots name, so a crash at any point leaves nothing that the next collection does not find.
A layer that no snapshot names is unmounted and closed; its files stay in the cache until somebody
wants their space (`evict`).

Concurrency: everything about one layer name happens under that name's lock; locks are kept for
good (one that were removed while somebody waits for it would guard nothing). A layer that was
touched less than `_GRACE_S` ago is not collected: its snapshot may not be recorded yet.
"""

import asyncio
import hashlib
import logging
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from bootseer.atomic import write_atomic
from bootseer.errors import BootseerError, CorruptError, NotFoundError, RemoteError
from bootseer.kernel import mounts_below
from snapshotter.blocks.names import (
    LOCAL,
    NATURAL,
    BlockName,
    LayerName,
    Role,
    name_of,
    parse_name,
)
from snapshotter.limits import DEFAULT, Limits
from snapshotter.ports import ImageKey, Images, IndexKind, PublishedIndex
from snapshotter.serving.files import LayerFiles, read_record
from snapshotter.serving.foreign import make_index, write_index
from snapshotter.serving.ingest import IngestJob, ingest
from snapshotter.serving.layout import INDEX, NEW, RECORD, LayerRecord, Layout, MountId, record_of
from snapshotter.serving.materialise import Materialised, materialise
from snapshotter.serving.mounts import (
    MountJob,
    change_read_ahead,
    mount_layer,
    unmount_layer,
)
from snapshotter.serving.poison import Poisoned
from snapshotter.serving.unpublished import PublishJob
from snapshotter.serving.use import note_use
from snapshotter.serving.workers import Workers
from snapshotter.snapshots.ports import LayerMount, LayerRequest

log = logging.getLogger(__name__)

_GRACE_S: Final = 5.0
_AHEAD_S: Final = 60.0
"""A layer that was made present ahead of its pull is kept open for so long."""


@dataclass(frozen=True, slots=True)
class ProviderPolicy:
    """How layers are made present."""

    lazy_s: float = 30.0
    """How long finding and reading an index may take before containerd is told to unpack."""
    unpack: bool = True
    """Unpack a layer without an index ourselves, so that containerd does not fetch the rest."""
    publish_spacing: int = 0
    """Have the index published that comes of it, with so many bytes between the places where a
    gzip layer can be entered; 0: it is kept to this node."""
    via_loop: bool = False
    """Put loop devices under the EROFS mounts (kernels before 6.12)."""
    erofs_read_ahead_kb: int = -1
    """Read-ahead of the EROFS mounts; negative leaves the kernel's default."""
    collect: bool = True
    """Unmount layers that no snapshot names."""


class Blocks(Protocol):
    """The devices of EROFS mounts."""

    async def prepare(self, name: BlockName) -> Path | None:
        """Make a block file ready to be served by us; or return a local file with all of it."""
        ...

    async def close(self, name: BlockName) -> bool:
        """Close a block file that nobody reads; False if it is not worth keeping on disk."""
        ...

    async def forget(self, name: BlockName) -> None:
        """Close a block file that nobody can read any more."""
        ...

    def worth_keeping(self) -> set[str]:
        """Return the mounts that are kept for the next start, as long as their layer is used."""
        ...


class Provider:
    """The `LayerProvider` of the daemon."""

    def __init__(
        self,
        layout: Layout,
        files: LayerFiles,
        blocks: Blocks,
        images: Images,
        workers: Workers,
        policy: ProviderPolicy,
        used: Callable[[], Awaitable[set[str]]],
        ingest_job: Callable[[str], IngestJob],
        poisoned: Poisoned,
        unpacked: Callable[[], None],
    ) -> None:
        """Tie it together.

        Args:
            used: returns the mounts that snapshots name.
            ingest_job: returns what a worker needs to read from an image reference's repository.
            unpacked: called when a layer was unpacked.
        """
        self._layout = layout
        self._files = files
        self._blocks = blocks
        self._images = images
        self._workers = workers
        self._policy = policy
        self._used = used
        self._ingest_job = ingest_job
        self._poisoned = poisoned
        self._unpacked = unpacked
        self._locks: dict[LayerName, asyncio.Lock] = {}
        self._provided: dict[LayerName, float] = {}
        self._materialising = asyncio.Semaphore(1)
        """Of two workers one is left to mounts, while all layers of an image are made ready."""
        self._mounted: set[str] = set()
        self._resting: set[LayerName] = set()
        """Layers that nothing uses, and that are closed."""
        self.limits: Limits = DEFAULT

    def path(self, layer: str) -> Path:
        """Return where a mount's tree is."""
        return self._layout.mount_point(MountId.parse(layer))

    async def provide(self, request: LayerRequest) -> LayerMount | None:
        """Make a layer of an image present and mounted; None if containerd should unpack it.

        Raises:
            BootseerError: it should have worked and did not.
        """
        began = time.monotonic()
        name, how = await self._find(request)
        if name is None:
            return None
        record = read_record(self._layout, name)
        mount = MountId(name, bottom=request.bottom and record.two_faced)
        async with self._lock(name):
            await self._mount(mount, record)
            self._touch(name)
        fields = {
            "layer": request.layer_digest,
            "image": request.image_ref,
            "how": how,
            "mount": str(mount),
            "ms": round(1000 * (time.monotonic() - began)),
        }
        log.info("layer.provided", extra={"fields": fields})
        return LayerMount(str(mount), record.size, record.inodes)

    async def _find(self, request: LayerRequest) -> tuple[LayerName | None, str]:
        """Return the name of the layer, present on disk, and how it came to be."""
        local = name_of(request.layer_digest, LOCAL)
        if self._present(local, request.layer_digest, request.image_ref):
            return local, "local"
        async with asyncio.timeout(self._policy.lazy_s):
            found = await self._find_lazy(request)
        if found:
            return found
        if not self._policy.unpack:
            return None, ""
        async with self._lock(local):
            if not self._present(local, request.layer_digest, request.image_ref):
                await self._unpack(local, request)
        return local, "unpacked"

    async def present(self, image: ImageKey) -> Mapping[LayerName, LayerRecord]:
        """Make all layers of an image present that have a published index, not mounted.

        Layers that cannot be had are left out: what asks for them is told why.

        Raises:
            RemoteError: the registry cannot say which layers there are.
        """
        indexes = await self._images.indexes_of(image.reference, image.manifest_digest)

        async def one(layer: str, index: PublishedIndex) -> LayerName | None:
            try:
                name = name_of(layer, index.digest)
                await self._lazy(name, index, image.reference, layer)
            except (BootseerError, OSError, ValueError) as error:
                fields = {"layer": layer, "index": index.digest, "reason": str(error)}
                log.info("layer.not_ahead", extra={"fields": fields})
                return None
            self._touch(name)
            return name

        async with asyncio.timeout(self._policy.lazy_s):
            names = await asyncio.gather(*(one(*pair) for pair in indexes.items()))
        return {name: read_record(self._layout, name) for name in names if name}

    async def obtain(
        self,
        name: LayerName,
        digest: str,
        source: str,
        make: Callable[[Path], Awaitable[LayerRecord]],
    ) -> LayerRecord:
        """Return the record of a block image that is present, made if it was not.

        Args:
            digest: what is served, as its record says it.
            source: where it can be fetched from, as its opener understands it.
            make: writes its files into an empty directory.

        Raises:
            CorruptError: something else has this name. And what `make` raises.
        """
        async with self._lock(name):
            if not self._present(name, digest, source):
                with self._building() as directory:
                    self._finish(directory, name, await make(directory))
            self._touch(name)
        return read_record(self._layout, name)

    async def _find_lazy(self, request: LayerRequest) -> tuple[LayerName, str] | None:
        index = await self._images.index_of(
            request.image_ref, request.manifest_digest, request.layer_digest
        )
        if index is None:
            return None
        name = name_of(request.layer_digest, index.digest)
        try:
            lazy = self._lazy(name, index, request.image_ref, request.layer_digest)
            return name, await lazy
        except (CorruptError, NotFoundError, RemoteError) as error:
            if isinstance(error, RemoteError) and error.temporary:
                raise  # nor could the layer be fetched now
            fields = {"layer": request.layer_digest, "index": index.digest}
            log.error("index.refused", extra={"fields": fields | {"reason": error.message}})
            return None

    async def _lazy(
        self, name: LayerName, index: PublishedIndex, reference: str, layer_digest: str
    ) -> str:
        if verdict := self._poisoned.verdict(index.digest):
            raise CorruptError(f"index {index.digest} was caught lying: {verdict}")
        async with self._lock(name):
            if self._present(name, layer_digest, reference):
                return "cached"
            with self._building() as directory:
                made = await self._made(directory, index, reference, layer_digest)
                if made.layer_digest != layer_digest:
                    raise CorruptError(
                        f"index {index.digest} is of layer {made.layer_digest}, "
                        f"not of {layer_digest}"
                    )
                self._finish(directory, name, record_of(made, reference, index.digest, index.kind))
            return "lazy"

    async def _made(
        self, directory: Path, index: PublishedIndex, reference: str, layer_digest: str
    ) -> Materialised:
        """Write index and metadata of a layer into a directory."""
        if index.kind is not IndexKind.BOOTSEER:
            blobs = self._images.blobs(reference)
            return await make_index(
                blobs, layer_digest, index, directory, self.limits, self._converted
            )
        data = await self._fetch_index(reference, index)
        write_atomic(directory / INDEX, data, durable=False)
        async with self._materialising:
            return await self._workers.quick(materialise, directory / INDEX, self.limits)

    async def _converted(self, *arguments: Any) -> Materialised:
        async with self._materialising:
            return await self._workers.quick(write_index, *arguments)

    async def _fetch_index(self, reference: str, index: PublishedIndex) -> bytes:
        if index.size > self.limits.index:
            raise CorruptError(f"index {index.digest}: {index.size} bytes are more than allowed")
        blobs = self._images.blobs(reference)
        data = await blobs.read(index.digest, 0, index.size)
        if _digest(data) != index.digest:  # a mirror's copy may have gone bad
            await blobs.doubt(index.digest)
            data = await blobs.read(index.digest, 0, index.size)
        if (found := _digest(data)) != index.digest:
            raise CorruptError(f"index {index.digest}: the registry sent bytes of {found}")
        return data

    async def _unpack(self, name: LayerName, request: LayerRequest) -> None:
        with self._building() as directory:
            job = self._ingest_job(request.image_ref)
            made = await self._workers.bulk(
                ingest, job, request.layer_digest, directory, self.limits, self._publish(request)
            )
            self._finish(directory, name, record_of(made, request.image_ref, LOCAL))
        self._unpacked()

    def _publish(self, request: LayerRequest) -> PublishJob | None:
        if not (self._policy.publish_spacing and request.manifest_digest):
            return None
        image = ImageKey(request.image_ref, request.manifest_digest)
        return PublishJob(image, self._policy.publish_spacing)

    @contextmanager
    def _building(self) -> Iterator[Path]:
        """Give a new directory, gone afterwards unless `_finish` took it.

        Its name is nobody's: a worker that goes on after its job was cancelled spoils nothing.
        """
        directory = self._layout.layers / f"{NEW}{secrets.token_hex(8)}"
        directory.mkdir(mode=0o700)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _finish(self, directory: Path, name: LayerName, record: LayerRecord) -> None:
        """Put a layer that is complete in its place."""
        write_atomic(directory / RECORD, record.encode())
        final = self._layout.layer(name)
        shutil.rmtree(final, ignore_errors=True)  # without a usable record: see `_present`
        directory.rename(final)
        self._touch(name)

    def _present(self, name: LayerName, layer_digest: str, reference: str) -> bool:
        """Say whether the layer is on disk; add `reference` to the places to fetch it from.

        Raises:
            CorruptError: another layer has this name, or the index is known to lie.
        """
        try:
            record = read_record(self._layout, name)
        except (NotFoundError, CorruptError):
            return False
        if record.layer_digest != layer_digest:
            raise CorruptError(f"layers {layer_digest} and {record.layer_digest} share a name")
        if record.poisoned:
            raise CorruptError(f"layer {layer_digest}: {record.poisoned}")
        self._touch(name)  # it may be unused so far: it must not be evicted before it is mounted
        if record.sources[:1] != (reference,):
            record = record.with_source(reference)
            write_atomic(self._layout.record(name), record.encode(), durable=False)
            if layer := self._files.opened().get(name):
                layer.record = replace(record, poisoned=layer.record.poisoned)
        return True

    async def ensure(self, layer: str) -> None:
        """Make sure that a layer is mounted, as after a reboot; cheap when it is.

        Raises:
            CorruptError: its index was caught lying: nothing new starts on it.
            BootseerError: it is not on this node any more, or the kernel refuses.
        """
        mount = MountId.parse(layer)
        self._refuse_lies(mount.name)
        if layer in self._mounted:
            return
        async with self._lock(mount.name):
            await self._mount(mount, read_record(self._layout, mount.name))
            self._touch(mount.name)

    def _refuse_lies(self, name: LayerName) -> None:
        layer = self._files.opened().get(name)
        record = layer.record if layer else read_record(self._layout, name)
        if record.poisoned:
            raise CorruptError(
                f"layer {record.layer_digest}: {record.poisoned}",
                hint="remove the image from this node and pull it again",
            )

    async def _mount(self, mount: MountId, record: LayerRecord) -> None:
        if str(mount) not in self._mounted:
            await self._workers.quick(mount_layer, await self._job(mount, record))
            self._mounted.add(str(mount))

    async def remount(self, name: LayerName) -> None:
        """Mount a layer that became local once more, from its cache file, over what is mounted.

        Who starts from now on reads past us; who runs keeps what he has. There is no moment at
        which the directory is empty, as there would be between an unmount and a mount.

        Raises:
            BootseerError: it is not on this node any more, or the kernel refuses.
        """
        async with self._lock(name):
            record = read_record(self._layout, name)
            for mount in map(MountId.parse, sorted(self._mounted)):
                # Not hot layouts: what their page cache holds tells what a start used.
                if mount.name == name and mount == mount.natural:
                    await self._workers.quick(mount_layer, await self._job(mount, record))

    async def _job(self, mount: MountId, record: LayerRecord) -> MountJob:
        devices = await self._devices(mount, record)
        local = self._layout.blocks not in {device.parent for device in devices}
        role = mount.variant.role
        return MountJob(
            metadata=self._layout.metadata(mount),
            target=self._layout.mount_point(mount),
            devices=devices,
            via_loop=self._policy.via_loop,
            direct=role is Role.RECORD or (role is Role.DATA and local),
            # What a start touches is recorded exactly, and lies in a hot area in its order.
            read_ahead_kb=self._policy.erofs_read_ahead_kb if role is Role.DATA else 0,
        )

    async def _devices(self, mount: MountId, record: LayerRecord) -> tuple[Path, ...]:
        """Return the extra devices of a mount, in the order of its device table."""
        if not record.size:
            return ()
        own = BlockName(mount.name, mount.variant)
        hot = mount.variant.role is Role.HOT
        names = (BlockName(mount.name), own) if hot else (own,)
        return tuple([await self._device(name) for name in names])

    async def _device(self, name: BlockName) -> Path:
        return await self._blocks.prepare(name) or self._layout.block_file(name)

    async def raise_read_ahead(self, mount: MountId) -> None:
        """Give a mount the usual read-ahead: the start that went without one is over."""
        if str(mount) in self._mounted:
            target, wanted = self._layout.mount_point(mount), self._policy.erofs_read_ahead_kb
            await self._workers.quick(change_read_ahead, target, wanted)

    def adopt(self, *, fresh: bool) -> list[str]:
        """Learn what is mounted already; return mounts that a new FUSE connection made useless."""
        for rubbish in self._layout.layers.glob(f"{NEW}*"):
            shutil.rmtree(rubbish, ignore_errors=True)
        below = mounts_below(self._layout.layers)
        stale = []
        for point in below:
            try:
                mount = self._layout.mounted_at(Path(point))
                record = read_record(self._layout, mount.name)
            except (ValueError, BootseerError):
                stale.append(point)
                continue
            if fresh and (not record.local or mount.variant.number):
                stale.append(point)
            else:
                self._mounted.add(str(mount))
        return stale

    async def drop(self, points: list[str]) -> None:
        """Take dead mounts out of the way; containers that still use them see I/O errors."""
        for point in points:
            log.warning("mount.dead", extra={"fields": {"path": point}})
            await self._workers.quick(unmount_layer, Path(point), lazy=True)

    async def release(self, layer: str) -> None:
        """Unmount and close a layer: the last snapshot that used it is gone."""
        if not self._policy.collect:
            return
        mount = MountId.parse(layer)
        if mount.variant.role is Role.HOT:
            return  # the next start wants it; it goes with its layer
        if mount == mount.natural:
            self._provided.pop(mount.name, None)
        if mount.variant.role is Role.RECORD:
            await self._unmount(mount, grace=False)  # nobody else was given it
        unused = self._mounted - await self._kept()
        for other in sorted(unused, key=len, reverse=True):
            if MountId.parse(other).name == mount.name:
                await self._unmount(MountId.parse(other))
        note_use(self._layout, [mount.name])
        await self._rest(mount.name)

    async def collect(self) -> None:
        """Unmount and close what no snapshot names."""
        if not self._policy.collect or not self._layout.layers.is_dir():
            return
        kept = await self._kept()
        for mount in sorted(self._mounted - kept):
            await self._unmount(MountId.parse(mount))
        names = {MountId.parse(m).name for m in kept | self._mounted}
        kept |= self._blocks.worth_keeping()
        resting = self._resting - self._files.opened().keys()
        for path in list(self._layout.layers.iterdir()):
            name = parse_name(path.name)
            if name and name not in resting:
                await self._remove_variants(name, path, kept)
                if name not in names and self._idle(name, _AHEAD_S):
                    await self._rest(name)

    async def _kept(self) -> set[str]:
        """Return the mounts that snapshots name, and what goes with these."""
        used = await self._used()
        names = {MountId.parse(mount).name for mount in used}
        worth = self._blocks.worth_keeping()
        return used | {mount for mount in worth if MountId.parse(mount).name in names}

    async def in_use(self) -> set[LayerName]:
        """Return the layers that snapshots name, or that are mounted all the same."""
        return {MountId.parse(mount).name for mount in await self._used() | self._mounted}

    async def _remove_variants(self, name: LayerName, directory: Path, kept: set[str]) -> None:
        """Remove the files of variants that are neither mounted nor worth keeping."""
        needed = {MountId.parse(m).variant for m in kept | self._mounted if m.startswith(name)}
        for path in directory.iterdir():
            block = BlockName.parse(name + path.name)
            if block is None or block.variant in needed or block.variant == NATURAL:
                continue
            async with self._lock(name):
                if self._idle(name):
                    await self._remove_variant(block)

    async def _remove_variant(self, block: BlockName) -> None:
        await self._blocks.forget(block)
        path = self._layout.variant(block.layer, block.variant)
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    def _touch(self, name: LayerName) -> None:
        """Note that a layer is about to be used; its record's time says so after a restart."""
        self._provided[name] = time.monotonic()
        self._resting.discard(name)
        note_use(self._layout, [name])

    def _idle(self, name: LayerName, seconds: float = _GRACE_S) -> bool:
        return time.monotonic() - self._provided.get(name, float("-inf")) > seconds

    async def _unmount(self, mount: MountId, *, grace: bool = True) -> None:
        async with self._lock(mount.name):
            if str(mount) in await self._kept() or (grace and not self._idle(mount.name)):
                return
            target = self._layout.mount_point(mount)
            if await self._workers.quick(unmount_layer, target, lazy=False):
                self._mounted.discard(str(mount))
            else:
                log.warning("mount.busy", extra={"fields": {"path": str(target)}})

    async def _rest(self, name: LayerName) -> None:
        """Close a layer that nothing uses. One that cannot be used again is removed."""
        async with self._lock(name):
            if not self._idle(name) or name in await self.in_use():
                return
            try:
                usable = not read_record(self._layout, name).poisoned
            except (NotFoundError, CorruptError):
                usable = False
            if not usable:
                await self._remove(name)
                return
            for block in self._hot_blocks(name):
                if not await self._blocks.close(block):
                    await self._remove_variant(block)
            if await self._files.retire(name):
                self._resting.add(name)
                log.info("layer.unused", extra={"fields": {"layer": name}})

    async def evict(self, name: LayerName) -> bool:
        """Remove a layer that nothing uses. False if something does, or did a moment ago."""
        async with self._lock(name):
            if not self._idle(name) or name in await self.in_use():
                return False
            await self._remove(name)
            return True

    async def _remove(self, name: LayerName) -> None:
        """Remove a layer whose lock we hold."""
        self._layout.record(name).unlink(missing_ok=True)
        for block in self._hot_blocks(name):
            await self._blocks.forget(block)
        await self._files.close(name)
        self._resting.discard(name)
        await asyncio.to_thread(shutil.rmtree, self._layout.layer(name), ignore_errors=True)
        log.info("layer.removed", extra={"fields": {"layer": name}})

    def _hot_blocks(self, name: LayerName) -> list[BlockName]:
        found = (BlockName.parse(name + p.name) for p in self._layout.layer(name).glob("h*"))
        return [block for block in found if block]

    def _lock(self, name: LayerName) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
