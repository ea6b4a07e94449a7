"""Brings an image that is served lazily into containerd, through its API.

For clients that fetch every layer before they unpack: `ctr` of containerd 1.x. The order is that of
containerd's own: what is written is kept by a lease until the image names it, so that a garbage
collection in between, or our end, leaves nothing behind and takes nothing away.

Race-free: it keeps no state. Two that pull the same image write the same, and each finds what the
other made.
"""

import datetime as dt
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, TypeAlias

from grpc import StatusCode, aio

from bootseer.errors import HostError, RemoteError
from snapshotter.containers.protos import content_pb2 as content
from snapshotter.containers.protos import images_pb2 as images
from snapshotter.containers.protos import leases_pb2 as leases
from snapshotter.containers.protos.content_pb2_grpc import ContentStub
from snapshotter.containers.protos.images_pb2_grpc import ImagesStub
from snapshotter.containers.protos.leases_pb2_grpc import LeasesStub
from snapshotter.containers.pulling import Unpacking, config_labels, manifest_labels, unpackings
from snapshotter.images.resolve import ResolvedImage
from snapshotter.service.protos import snapshots_pb2 as snapshots
from snapshotter.service.protos.snapshots_pb2_grpc import SnapshotsStub
from snapshotter.snapshots.labels import LAYER

_CALL_S: Final = 60.0
_PREPARE_S: Final = 900.0
"""A layer without an index is read whole by the daemon before it is there."""
_LEASE: Final = dt.timedelta(hours=24)
_PIECE: Final = 1 << 20

Header: TypeAlias = tuple[tuple[str, str], ...]
Done: TypeAlias = Callable[[Unpacking], None]
"""Is told of each layer that is there."""


class ContainerdStore:
    """One namespace of a containerd."""

    def __init__(self, channel: aio.Channel, namespace: str) -> None:
        """`channel`: to containerd's socket."""
        self._content = ContentStub(channel)
        self._images = ImagesStub(channel)
        self._leases = LeasesStub(channel)
        self._snapshots = SnapshotsStub(channel)
        self._namespace = (("containerd-namespace", namespace),)

    async def add(self, image: ResolvedImage, name: str, snapshotter: str, done: Done) -> None:
        """Add an image by a name, its layers served by a snapshotter plugin.

        Raises:
            RemoteError: containerd does not answer, or refuses.
            HostError: a layer is not served: the plugin is no snapshotter of ours, or it cannot.
        """
        with _asked():
            async with self._leased() as header:
                for layer in unpackings(image, name):
                    await self._serve(layer, snapshotter, header)
                    done(layer)
                described = image.manifest.config.digest
                labels = config_labels(image, snapshotter)
                await self._write(described, image.raw_config, labels, header)
                await self._write(image.digest, image.raw, manifest_labels(image), header)
                await self._name(image, name, header)

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[Header]:
        """Keep what is made in the block until an image names it, but not for ever."""
        ends = (dt.datetime.now(dt.UTC) + _LEASE).isoformat(timespec="seconds")
        request = leases.CreateRequest(
            id=f"bootseer-{secrets.token_hex(8)}", labels={"containerd.io/gc.expire": ends}
        )
        await self._leases.Create(request, metadata=self._namespace, timeout=_CALL_S)
        try:
            yield (*self._namespace, ("containerd-lease", request.id))
        finally:
            with suppress(aio.AioRpcError):
                await self._leases.Delete(
                    leases.DeleteRequest(id=request.id), metadata=self._namespace, timeout=_CALL_S
                )

    async def _serve(self, layer: Unpacking, snapshotter: str, header: Header) -> None:
        """Have a layer served. Prepared as if to be unpacked, it exists: that is what is hoped."""
        key = f"extract-{secrets.token_hex(8)} {layer.chain}"
        request = snapshots.PrepareSnapshotRequest(
            snapshotter=snapshotter, key=key, parent=layer.parent, labels=layer.labels
        )
        try:
            await self._snapshots.Prepare(request, metadata=header, timeout=_PREPARE_S)
        except aio.AioRpcError as error:
            if error.code() is StatusCode.ALREADY_EXISTS:
                return
            raise
        await self._snapshots.Remove(
            snapshots.RemoveSnapshotRequest(snapshotter=snapshotter, key=key),
            metadata=header,
            timeout=_CALL_S,
        )
        raise HostError(
            f"snapshotter {snapshotter} does not serve layer {layer.labels[LAYER]}",
            hint="its log says why; does containerd's plugin lead to bootseer?",
        )

    async def _write(
        self, digest: str, data: bytes, labels: Mapping[str, str], header: Header
    ) -> None:
        """Write a blob with its labels; one that is there gets the labels."""
        try:
            await self._commit(digest, data, labels, header)
        except aio.AioRpcError as error:
            if error.code() is not StatusCode.ALREADY_EXISTS:
                raise
            request = content.UpdateRequest(info=content.Info(digest=digest, labels=labels))
            request.update_mask.paths.extend(f"labels.{key}" for key in labels)
            await self._content.Update(request, metadata=header, timeout=_CALL_S)

    async def _commit(
        self, digest: str, data: bytes, labels: Mapping[str, str], header: Header
    ) -> None:
        async def requests() -> AsyncIterator[content.WriteContentRequest]:
            reference = f"bootseer-{secrets.token_hex(8)}"
            pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)] or [b""]
            for number, piece in enumerate(pieces):
                last = number == len(pieces) - 1
                yield content.WriteContentRequest(
                    action=content.COMMIT if last else content.WRITE,
                    ref=reference,
                    total=len(data),
                    expected=digest,
                    offset=number * _PIECE,
                    data=piece,
                    labels=labels,
                )

        answers = self._content.Write(requests(), metadata=header, timeout=_CALL_S)
        async for answer in answers:
            if answer.action == content.COMMIT:
                return

    async def _name(self, image: ResolvedImage, name: str, header: Header) -> None:
        described = image.descriptor
        named = images.Image(
            name=name,
            target=images.Descriptor(
                media_type=described.media_type, digest=described.digest, size=described.size
            ),
        )
        request = images.CreateImageRequest(image=named)
        try:
            await self._images.Create(request, metadata=header, timeout=_CALL_S)
        except aio.AioRpcError as error:
            if error.code() is not StatusCode.ALREADY_EXISTS:
                raise
            again = images.UpdateImageRequest(image=named)
            await self._images.Update(again, metadata=header, timeout=_CALL_S)


@contextmanager
def _asked() -> Iterator[None]:
    try:
        yield
    except aio.AioRpcError as error:
        raise RemoteError(
            f"containerd: {error.details()}", hint="is it running, and is this its socket?"
        ) from error


async def add_image(
    socket: str,
    namespace: str,
    image: ResolvedImage,
    name: str,
    snapshotter: str,
    done: Done,
) -> None:
    """Do what `ContainerdStore.add` does, over containerd's socket."""
    async with aio.insecure_channel(f"unix:{socket}") as channel:
        store = ContainerdStore(channel, namespace)
        await store.add(image, name, snapshotter, done)
