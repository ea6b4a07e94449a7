"""The layers that are open: each opened once, when the kernel or a mount first asks for it.

A server that takes over opens nothing in advance: names, inode numbers and handles follow from
what is on disk, so it serves as soon as it has the connection.

Race-free: the tables are touched by the event loop's thread only; a layer enters `_opening`
before the first await of its opening, so it is opened once however many ask.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from bootseer.errors import CorruptError, NotFoundError
from snapshotter.blocks.names import BlockName, LayerName, parse_name
from snapshotter.blocks.pagecache import PageCache
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.carrier import Carrier
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.far import FarCarrier
from snapshotter.chunks.fetching import Counters
from snapshotter.chunks.flights import Flights, KeepHot, Services
from snapshotter.chunks.maker import Maker
from snapshotter.chunks.near import NearCarrier
from snapshotter.chunks.reader import LayerReader
from snapshotter.chunks.reads import ReadCounters, Source
from snapshotter.chunks.room import DiskRoom
from snapshotter.chunks.windows import Cache, Windows
from snapshotter.layers.chunkread import ChunkDecoder
from snapshotter.layers.format import decode_map
from snapshotter.layers.records import BlockMap
from snapshotter.linking.following import Following, Libraries
from snapshotter.linking.names import decode_places
from snapshotter.ports import MirroredSource
from snapshotter.serving.blockimage import BlockImage, ImageOpener
from snapshotter.serving.layout import LAYER, LayerRecord, Layout, MountId
from snapshotter.serving.sources import WithLocal
from snapshotter.tally import Tally

log = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenLayer:
    """A layer that is being served."""

    record: LayerRecord
    reader: LayerReader
    libraries: Libraries
    """Fetched ahead of the dynamic loader."""
    reads: ReadCounters = field(default_factory=ReadCounters)
    """Of its block files with the data area."""

    @property
    def size(self) -> int:
        """Bytes of the data area."""
        return self.reader.size

    def is_known(self) -> bool:
        """See `BlockFile`: a data area never changes."""
        return True

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Return verified bytes of the data area, as the kernel asks for them."""
        return await self.reads.count(self.fetch(offset, length))

    def read_now(
        self, offset: int, length: int, *, noticed: bool = True
    ) -> bytes | bytearray | None:
        """Return what `read` would, if it need not wait for anything; else None.

        Not `noticed`: nothing is fetched because of it.
        """
        if self.record.poisoned:
            return None
        data = self.reader.read_now(offset, length, noticed=noticed)
        if data is not None:
            self.reads.count_at_once(len(data))
            if noticed:
                self.libraries.seen(offset, data)
        return data

    async def fetch(self, offset: int, length: int) -> tuple[bytes | bytearray, Source]:
        """Return verified bytes of the data area, and what they had to wait for; not counted."""
        if self.record.poisoned:
            raise CorruptError(f"layer {self.record.layer_digest}: {self.record.poisoned}")
        data, source = await self.reader.fetch(offset, length)
        self.libraries.seen(offset, data)
        return data, source

    def describe(self, name: LayerName) -> dict[str, Any]:
        """Return the layer's state, for people and tools."""
        presence = self.reader.cache.presence
        return {
            "name": name,
            "digest": self.record.layer_digest,
            "image": self.record.sources[0],
            "index": self.record.index_kind,
            "data_bytes": self.size,
            "chunks": len(presence),
            "chunks_local": len(presence) - presence.missing,
            "local_bytes": self.reader.local_bytes,
            "disk_bytes": self.reader.cache.disk_usage(),
            "verified": presence.audited or self.record.local,
            "poisoned": self.record.poisoned,
            "fetching": self.reader.flying,
            "fetched_bytes": sum(self.reader.counters.fetched.values()),
            **asdict(self.reader.counters),
        }


class LayerFiles:
    """Opens layers by name (`blocks.filesystem.BlockFiles`)."""

    def __init__(
        self,
        layout: Layout,
        blobs: Callable[[Sequence[str]], MirroredSource],
        services: Services,
        linking: Following,
        window_cache: Cache,
        openers: Mapping[str, ImageOpener] | None = None,
        page_cache: PageCache | None = None,
        faces: Callable[[LayerName], Sequence[BlockName]] = lambda _: (),
    ) -> None:
        """`blobs` returns where the blobs of any of some image references come from.

        `openers`: how to open what is no image layer, by `LayerRecord.kind`. `page_cache`: for what
        is read soon (`BlockImage.near`). `faces`: the block files by which a layer is read while
        its own is not.
        """
        self._layout = layout
        self._blobs = blobs
        self._services = services
        self._linking = linking
        self._window_cache = window_cache
        self._openers = dict(openers or {})
        self.page_cache = page_cache
        self._faces = faces
        self._open: dict[LayerName, OpenLayer] = {}
        self._opening: dict[LayerName, asyncio.Task[OpenLayer]] = {}
        self._left_open: Counter[LayerName] = Counter()
        self.fetches = Tally(Counters)
        """Of all layers, those that were closed included."""
        self.reads = Tally(ReadCounters)
        """Of their block files with the data area, likewise."""

    def names(self) -> Sequence[LayerName]:
        """Return the layers on disk."""
        found = (parse_name(path.name) for path in self._layout.layers.iterdir())
        return [name for name in found if name and self._layout.record(name).exists()]

    @property
    def room(self) -> DiskRoom:
        """Told when nothing more can be kept."""
        return self._services.room

    def find(self, name: LayerName) -> OpenLayer | None:
        """Return a layer if it is open."""
        return self._open.get(name)

    def opened(self) -> dict[LayerName, OpenLayer]:
        """Return the layers that are open now."""
        return dict(self._open)

    def describe(self) -> list[dict[str, Any]]:
        """Return the state of every open layer, for people and tools."""
        return [layer.describe(name) for name, layer in sorted(self._open.items())]

    async def describe_mounted(self, mount: str) -> dict[str, Any]:
        """Return the state of the layer of a mount, and whether it was unpacked on this node.

        Raises:
            NotFoundError, CorruptError: as `open`.
        """
        name = MountId.parse(mount).name
        layer = await self.open(name)
        return layer.describe(name) | {"unpacked": layer.record.local}

    async def open(self, name: LayerName) -> OpenLayer:
        """Return a layer, opened if it was not.

        Raises:
            NotFoundError: no such layer on disk.
            CorruptError: its files on disk are damaged.
        """
        layer = self._open.get(name)
        if layer is not None:
            return layer
        opening = self._opening.get(name)
        if opening is None:
            opening = asyncio.create_task(self._load(name))
            self._opening[name] = opening
            opening.add_done_callback(partial(self._opened, name))
        return await asyncio.shield(opening)

    def _opened(self, name: LayerName, task: "asyncio.Task[OpenLayer]") -> None:
        del self._opening[name]
        if not task.cancelled() and task.exception() is None:
            layer = self._open[name] = task.result()
            self.fetches.join(layer.reader.counters)
            self.reads.join(layer.reads)

    async def _load(self, name: LayerName) -> OpenLayer:
        record = await asyncio.to_thread(read_record, self._layout, name)
        image = await self._image(name, record)
        cache = CacheFile(
            self._layout.layer(name),
            key=image.key,
            chunks=len(image.chunks),
            size=image.chunks.size,
            keep_blob=not record.local and not record.proven,
            # What is near is read from `Flights.shelf`, and then in the page cache of a block file
            # (`_keep_hot`). What a link brings has time to be copied, and is read for longer.
            past_cache=image.near is not None,
        )
        if record.local:
            cache.presence.fill()
        flights = Flights(
            record.layer_digest,
            Maker(image.chunks, cache, image.decode, self._services.room),
            self._carrier(record.layer_digest, image),
            self._services.near() if image.near else self._services,
            keep_hot=self._keep_hot(name) if image.near else None,
        )
        reader = LayerReader(flights)
        places = await asyncio.to_thread(self._places, name)
        return OpenLayer(record, reader, Libraries(reader, places, self._linking))

    def _carrier(self, digest: str, image: BlockImage) -> Carrier:
        if image.near is not None:
            return NearCarrier(digest, image.chunks, image.near)
        windows = Windows(image.windows_digest, image.chunks, image.source, self._window_cache)
        return FarCarrier(digest, image.chunks, image.source, windows, self._services.threads)

    def _keep_hot(self, name: LayerName) -> KeepHot | None:
        cache = self.page_cache
        if cache is None:
            return None

        def read_soon(offset: int, length: int) -> None:
            for face in self._faces(name) or (BlockName(name),):
                cache.read_soon(str(face), offset, length)

        return read_soon

    async def _image(self, name: LayerName, record: LayerRecord) -> BlockImage:
        if record.kind == LAYER:
            block_map, key = await asyncio.to_thread(self._read, name)
            source = self._blobs(record.sources)
            windows = self._layout.windows(name)
            if block_map.windows_digest and windows.exists():
                source = WithLocal(source, block_map.windows_digest, windows)
            return BlockImage(
                ChunkMap(block_map),
                key,
                block_map.windows_digest,
                source,
                ChunkDecoder(block_map),
            )
        opener = self._openers.get(record.kind)
        if opener is None:
            raise CorruptError(f"layer {name}: of a kind {record.kind!a} that is not known")
        return await opener.open(self._layout.layer(name), record)

    def _places(self, name: LayerName) -> dict[str, int]:
        try:
            return decode_places(self._layout.libraries(name).read_bytes())
        except (OSError, ValueError):  # an older version made the layer, or it is none of an image
            return {}

    def _read(self, name: LayerName) -> tuple[BlockMap, bytes]:
        data = self._layout.index(name).read_bytes()
        return decode_map(data), hashlib.sha256(data).digest()

    @contextmanager
    def left_open(self, name: LayerName) -> Iterator[None]:
        """Have a layer that nobody uses left open, if it is open, while the context is.

        Its space may be wanted all the same: then it is closed and removed.
        """
        self._left_open[name] += 1
        try:
            yield
        finally:
            self._left_open[name] -= 1

    async def retire(self, name: LayerName) -> bool:
        """Close a layer that nobody reads; what is cached of it stays. False if it is not still,
        or is left open.

        Whoever holds it (`LayerReader.holding`) may go on with the object that he has.
        """
        layer = self._open.get(name)
        if layer is None:
            return True
        if self._left_open[name]:
            return False
        await layer.reader.drain()
        await self._flush(name, layer)
        if layer.reader.is_busy or self._open.get(name) is not layer:
            return False
        await self.close(name)
        return True

    async def close(self, name: LayerName) -> None:
        """Forget a layer that nobody can read any more."""
        layer = self._open.pop(name, None)
        if layer is not None:
            await layer.libraries.close()
            await layer.reader.drain()
            self.fetches.leave(layer.reader.counters)
            self.reads.leave(layer.reads)
            layer.reader.close()

    def forget_fresh(self) -> None:
        """Give the memory back that holds what came last (`chunks.fresh`)."""
        self._services.fresh.clear()

    async def flush(self) -> None:
        """Make what all layers have cached survive a crash."""
        for name, layer in self.opened().items():
            if layer.reader.cache.dirty:
                await self._flush(name, layer)

    async def _flush(self, name: LayerName, layer: OpenLayer) -> None:
        try:
            await layer.reader.cache.flush()
        except OSError as error:
            if self._services.room.refused(error):
                return
            fields = {"layer": name, "reason": str(error)}
            log.warning("cache.flush_failed", extra={"fields": fields})


def read_record(layout: Layout, name: LayerName) -> LayerRecord:
    """Return a layer's record. NotFoundError or CorruptError if there is none that can be used."""
    try:
        return LayerRecord.decode(layout.record(name).read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"layer {name}: not on this node") from None
