"""Makes layers present on disk: index found or made, checked, metadata written. Nothing is mounted.

Race-free: a layer is made under its lock, in a directory of its own; besides the shelf nothing is
kept between calls.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootseer.atomic import write_atomic
from bootseer.errors import BootseerError, CorruptError, NotFoundError, RemoteError
from snapshotter.blocks.names import LOCAL, LayerName, name_of
from snapshotter.limits import DEFAULT, Limits
from snapshotter.ports import ImageKey, Images, IndexKind, PublishedIndex
from snapshotter.serving.files import read_record
from snapshotter.serving.foreign import make_index, write_index
from snapshotter.serving.ingest import IngestJob, ingest
from snapshotter.serving.layout import INDEX, LayerRecord, record_of
from snapshotter.serving.materialise import Materialised, materialise
from snapshotter.serving.poison import Poisoned
from snapshotter.serving.shelf import Shelf
from snapshotter.serving.unpublished import PublishJob
from snapshotter.serving.workers import Workers
from snapshotter.snapshots.ports import LayerRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MakingPolicy:
    """How layers are made present."""

    lazy_s: float = 30.0
    """How long finding and reading an index may take before containerd is told to unpack."""
    unpack: bool = True
    """Unpack a layer without an index ourselves, so that containerd does not fetch the rest."""
    publish_spacing: int = 0
    """Have the index published that comes of it, with so many bytes between the places where a
    gzip layer can be entered; 0: it is kept to this node."""
    limits: Limits = DEFAULT


class Making:
    """Makes layers of images, and other block images, present."""

    def __init__(
        self,
        shelf: Shelf,
        images: Images,
        workers: Workers,
        policy: MakingPolicy,
        ingest_job: Callable[[str], IngestJob],
        poisoned: Poisoned,
        unpacked: Callable[[], None],
    ) -> None:
        """Tie it together.

        Args:
            ingest_job: returns what a worker needs to read from an image reference's repository.
            unpacked: called when a layer was unpacked.
        """
        self._shelf = shelf
        self._images = images
        self._workers = workers
        self._policy = policy
        self._ingest_job = ingest_job
        self._poisoned = poisoned
        self._unpacked = unpacked
        self._materialising = asyncio.Semaphore(1)
        """Of two workers one is left to mounts, while all layers of an image are made ready."""

    async def find(self, request: LayerRequest) -> tuple[LayerName | None, str]:
        """Return the name of a layer, present on disk by now, and how it came to be.

        None if containerd should unpack it.

        Raises:
            BootseerError: it should have worked and did not.
        """
        local = name_of(request.layer_digest, LOCAL)
        if self._shelf.holds(local, request.layer_digest, request.image_ref):
            return local, "local"
        async with asyncio.timeout(self._policy.lazy_s):
            found = await self._find_lazy(request)
        if found:
            return found
        if not self._policy.unpack:
            return None, ""
        async with self._shelf.lock(local):
            if not self._shelf.holds(local, request.layer_digest, request.image_ref):
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
            self._shelf.touch(name)
            return name

        async with asyncio.timeout(self._policy.lazy_s):
            names = await asyncio.gather(*(one(*pair) for pair in indexes.items()))
        return {name: read_record(self._shelf.layout, name) for name in names if name}

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
        async with self._shelf.lock(name):
            if not self._shelf.holds(name, digest, source):
                with self._shelf.building() as directory:
                    self._shelf.put(directory, name, await make(directory))
            self._shelf.touch(name)
        return read_record(self._shelf.layout, name)

    async def made(self, name: LayerName) -> LayerRecord:
        """Return the record of a block image that others make present, once they are done with it.

        NotFoundError or CorruptError if that came to nothing.
        """
        async with self._shelf.lock(name):
            return read_record(self._shelf.layout, name)

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
        async with self._shelf.lock(name):
            if self._shelf.holds(name, layer_digest, reference):
                return "cached"
            with self._shelf.building() as directory:
                made = await self._made(directory, index, reference, layer_digest)
                if made.layer_digest != layer_digest:
                    raise CorruptError(
                        f"index {index.digest} is of layer {made.layer_digest}, "
                        f"not of {layer_digest}"
                    )
                self._shelf.put(
                    directory, name, record_of(made, reference, index.digest, index.kind)
                )
            return "lazy"

    async def _made(
        self, directory: Path, index: PublishedIndex, reference: str, layer_digest: str
    ) -> Materialised:
        """Write index and metadata of a layer into a directory."""
        if index.kind is not IndexKind.BOOTSEER:
            blobs = self._images.blobs(reference)
            return await make_index(
                blobs, layer_digest, index, directory, self._policy.limits, self._converted
            )
        data = await self._fetch_index(reference, index)
        write_atomic(directory / INDEX, data, durable=False)
        async with self._materialising:
            return await self._workers.quick(materialise, directory / INDEX, self._policy.limits)

    async def _converted(self, *arguments: Any) -> Materialised:
        async with self._materialising:
            return await self._workers.quick(write_index, *arguments)

    async def _fetch_index(self, reference: str, index: PublishedIndex) -> bytes:
        if index.size > self._policy.limits.index:
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
        with self._shelf.building() as directory:
            job = self._ingest_job(request.image_ref)
            made = await self._workers.bulk(
                ingest,
                job,
                request.layer_digest,
                directory,
                self._policy.limits,
                self._publish(request),
            )
            self._shelf.put(directory, name, record_of(made, request.image_ref, LOCAL))
        self._unpacked()
        if made.coarse:
            _advise(request)

    def _publish(self, request: LayerRequest) -> PublishJob | None:
        if not (self._policy.publish_spacing and request.manifest_digest):
            return None
        image = ImageKey(request.image_ref, request.manifest_digest)
        return PublishJob(image, self._policy.publish_spacing)


def _advise(request: LayerRequest) -> None:
    """Say how a layer that no index could make lazy would be."""
    fields = {
        "layer": request.layer_digest,
        "image": request.image_ref,
        "reason": "zstd in large frames",
        "do": f"bootseer image convert {request.image_ref} NEWREF",
    }
    log.warning("layer.not_lazy", extra={"fields": fields})


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
