"""The hot blocks of images on a node: looked for when an image is first seen, and made ready.

What is known of an image and workload is looked up once and believed for a while. If there is a
pack or records, hot areas are made beside the layers, their metadata is written, and a feed fills
them, while containerd is still asking for one layer after the other.

Race-free: the event loop's thread only. An image enters `_images` before the first await of its
work, so there is one search, one set of hot areas and one feed however many containers start.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from bootseer.errors import BootseerError, CorruptError, NotFoundError, first_error
from bootseer.events.stages import SILENT, Stages
from snapshotter.blocks.names import BlockName, LayerName
from snapshotter.blocks.pagecache import PageCache
from snapshotter.hot.merge import merge
from snapshotter.hot.order import ChunkEdges, fetch_order
from snapshotter.hot.ranges import Ranges, spans
from snapshotter.hot.record import HotLayer, MergedRecord, Record, blocks_of
from snapshotter.hot.unpack import Expected, OpenedPack, PackStream
from snapshotter.layers.records import I64
from snapshotter.limits import DEFAULT
from snapshotter.ports import BlobSource, HotStore, ImageKey, MirroredSource, PublishedPack
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.layout import LayerRecord, Layout, MountId
from snapshotter.serving.materialise import materialise_hot
from snapshotter.serving.workers import Workers
from snapshotter.starts.ahead import AheadRoom, ReceivedAhead
from snapshotter.starts.area import Feed, FeedCounters, HotArea
from snapshotter.starts.areas import BLOCKS, Areas, Origin
from snapshotter.starts.chunkfeed import ChunkFeed, Source
from snapshotter.starts.course import Course, Known, StartPolicy, choose
from snapshotter.starts.feed import Download, FeedRules, PackFeed
from snapshotter.starts.usefulness import is_useless
from snapshotter.tally import Tally

log = logging.getLogger(__name__)

_LOOK_S: Final = 10.0
"""How long the stores may take to say what they have."""
_FOUND_S: Final = 600.0
_MISSED_S: Final = 5.0
"""How long it is believed that there is a record, or none: somebody may publish one."""
_GAP: Final = 8
"""Blocks between hot ones that are read into the page cache with them: a request costs more."""
RECORD_SOURCE: Final = "record:"
"""Prefix of a source that is no pack."""


class PresentLayers(Protocol):
    """Makes the layers of an image present on this node."""

    async def present(self, image: ImageKey) -> Mapping[LayerName, LayerRecord]:
        """Return the image's layers that have an index, all of them present on disk."""
        ...


@dataclass(slots=True)
class HotImage:
    """What goes on for one image and workload."""

    image: ImageKey
    workload: str
    known: Known | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """It is known how containers start, and which layers have a hot area."""
    areas: dict[LayerName, BlockName] = field(default_factory=dict)
    ready: dict[LayerName, asyncio.Event] = field(default_factory=dict)
    """Set when the metadata of the layer's hot layout is written, or the layer left `areas`."""
    feed: Feed | None = None
    source: str = ""
    good_until: float = float("inf")
    failure: str = ""
    spoiled: bool = False
    """One of its hot layouts could not be mounted."""
    missed_before: int = 0
    """Bytes that were missed in the layers' data areas before the feed began."""

    @property
    def going_on(self) -> bool:
        """Whether its work has not ended."""
        return self.good_until == float("inf")


@dataclass(frozen=True, slots=True)
class HotServices:
    """What the work on hot images uses."""

    layout: Layout
    layers: PresentLayers
    files: LayerFiles
    areas: Areas
    stores: Sequence[HotStore]
    """Where records and packs may be, the nearest first."""
    workers: Workers
    executor: Executor
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    policy: StartPolicy
    rules: FeedRules
    is_near: Callable[[ImageKey], bool]
    """Says of an image that bringing its chunks costs little beside copying their hot blocks: these
    are read in place, whatever the policy says."""
    page_cache: PageCache | None = None
    """Where hot blocks that are read in place are put too."""
    stages: Stages = SILENT
    """Hears of prefetches."""


class HotImages:
    """All of a node's hot images."""

    def __init__(self, services: HotServices, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._with = services
        self._clock = clock
        self._images: dict[tuple[str, str], HotImage] = {}
        self._building = asyncio.Semaphore(1)
        """Leaves a worker to those who wait for a mount."""
        self._room = AheadRoom()
        self.feeds = Tally(FeedCounters)
        """Of all feeds, those that are over included."""

    def _in_place(self, hot: HotImage) -> bool:
        return self._with.policy.in_place or self._with.is_near(hot.image)

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
            hot.spoiled |= BlockName(mount.name, mount.variant) in hot.areas.values()

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
            missed = self._missed(hot) - hot.missed_before
            if is_useless(hot.feed.counters.brought, missed):
                hot.failure = "containers read other blocks than those that were recorded"
                fields = {"image": hot.image.reference, "workload": hot.workload}
                log.warning("hot.useless", extra={"fields": fields | {"missed_bytes": missed}})
                hot.feed.cancel()

    def _missed(self, hot: HotImage) -> int:
        """Return about how many bytes were missed in the data areas of the image's layers."""
        opened = self._with.files.opened()
        readers = [opened[name].reader for name in hot.areas if name in opened]
        return sum(
            reader.counters.demand_misses * reader.size // max(len(reader.chunks), 1)
            for reader in readers
        )

    def all(self) -> list[HotImage]:
        """Return all images that were seen."""
        return list(self._images.values())

    async def _work(self, hot: HotImage) -> None:
        found = False
        try:
            at_hand = await self._from_disk(hot)
            known, store = await self._look(hot)
            found = at_hand or bool(known and (known.pack or known.records))
            if at_hand and not _is_news(known, hot.source):
                return
            hot.known = known
            course = choose(self._with.policy, known, recording=False)
            if course is Course.PACK and known and known.pack:
                course = await self._from_pack(hot, known.pack, store.blobs(hot.image))
            if course is Course.RECORDS and hot.known:
                await self._from_records(hot, hot.known.records)
        except (BootseerError, OSError, TimeoutError, BaseExceptionGroup) as error:
            cause = first_error(error)
            if not isinstance(cause, BootseerError | OSError | TimeoutError):
                raise
            hot.failure = str(cause) or type(cause).__name__
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
        if self._in_place(hot):
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

    async def _look(
        self, hot: HotImage, *, packs_too: bool = True
    ) -> tuple[Known | None, HotStore]:
        """Ask every store; return where the pack is as well.

        None if nothing was found and one of them could not say.
        """
        stores = self._with.stores
        answers = await asyncio.gather(*(self._ask(one, hot, packs_too) for one in stores))
        known = [(answer, store) for answer, store in zip(answers, stores, strict=True) if answer]
        packs = [(answer.pack, store) for answer, store in known if answer.pack]
        if packs:
            best, store = max(packs, key=lambda pair: (pair[0].runs, pair[0].created))
            return Known(best), store
        records = [record for answer, _ in known for record in answer.records]
        sure = records or len(known) == len(stores)
        return Known(None, tuple(records)) if sure else None, stores[0]

    async def _ask(self, store: HotStore, hot: HotImage, packs_too: bool) -> Known | None:
        try:
            async with asyncio.timeout(_LOOK_S):
                # A pack fills hot areas, nothing else.
                packs_too = packs_too and not self._in_place(hot)
                pack = await store.pack(hot.image, hot.workload) if packs_too else None
                if pack is not None:
                    return Known(pack)
                return Known(None, await store.records(hot.image, hot.workload))
        except (BootseerError, OSError, TimeoutError) as error:
            fields = {"image": hot.image.reference, "reason": str(error) or "no answer in time"}
            log.warning("hot.store_failed", extra={"fields": fields})
            return None

    async def _from_pack(
        self, hot: HotImage, pack: PublishedPack, source: MirroredSource
    ) -> Course:
        """Fill hot areas from a pack; return how containers start: without one that is no use."""
        try:
            download, opened, present = await self._open_pack(hot, pack, source)
        except (CorruptError, NotFoundError) as error:
            fields = {"image": hot.image.reference, "pack": pack.digest, "reason": error.message}
            log.warning("hot.pack_unusable", extra={"fields": fields})
            hot.known, _ = await self._look(hot, packs_too=False)
            return choose(self._with.policy, hot.known, recording=False)
        hot.source = pack.digest
        areas = await self._make_areas(hot, _blocks_by_name(opened, present))
        await self._run(hot, areas, self._fill_from_pack(hot, opened, download, source, areas))
        return Course.PACK

    async def _fill_from_pack(
        self,
        hot: HotImage,
        opened: OpenedPack,
        download: Download,
        source: MirroredSource,
        areas: Mapping[LayerName, HotArea],
    ) -> None:
        """Fill hot areas from a pack; what that does not bring is brought chunk by chunk."""
        by_digest = {area.name: area for area in areas.values()}
        services = self._with
        for begun in (download, None):
            feed = PackFeed(
                hot.source, opened, by_digest, source, services.executor, services.rules
            )
            _attach(hot, areas, feed)
            try:
                await self._counted(feed.counters, feed.run(begun))
            except CorruptError as error:  # a mirror's fault, perhaps: ask another once more
                _warn_of_pack(hot, error)
                await source.doubt(hot.source)
            except (BootseerError, OSError) as error:
                _warn_of_pack(hot, error)
                break
            else:
                return
        names = {area.name: name for name, area in areas.items()}
        layers = enumerate(opened.directory.layers)
        rows = {row: names[one.layer_digest] for row, one in layers if one.layer_digest in names}
        chunks = await self._chunk_feed(rows, areas, opened.directory.ranges)
        _attach(hot, areas, chunks)
        await self._counted(chunks.counters, chunks.run())

    async def _open_pack(
        self, hot: HotImage, pack: PublishedPack, source: BlobSource
    ) -> tuple[Download, OpenedPack, Mapping[LayerName, LayerRecord]]:
        """Begin to download a pack, and read its front with what the layers' indexes say.

        The request is under way while the layers are made present.

        Raises:
            NotFoundError, RemoteError: the pack is not to be had.
            CorruptError: it is damaged, or of other layers than those of the image.
        """
        began = time.monotonic()
        pieces = ReceivedAhead(source.stream(pack.digest, 0), self._room)
        try:
            present = await self._with.layers.present(hot.image)
            stream = PackStream(_expected(present))
            opened = await _read_front(stream, pieces, pack.digest)
            _check_useful(opened, present, pack.digest)
        except BaseException:
            await pieces.aclose()
            raise
        return Download(stream, pieces, began), opened, present

    async def _from_records(self, hot: HotImage, records: Sequence[Record]) -> None:
        merged = await asyncio.to_thread(merge, records)
        present = await self._with.layers.present(hot.image)
        blocks: dict[LayerName, I64] = {}
        rows: dict[LayerName, int] = {}
        for name, record in present.items():
            layer = hot_layer(record)
            if layer in merged.layers and len(found := blocks_of(merged, layer)):
                blocks[name], rows[name] = found, merged.layers.index(layer)
        if present and not blocks:
            fields = {
                "image": hot.image.reference,
                "workload": hot.workload,
                "reason": "they were made with other indexes than the image has now",
            }
            log.warning("hot.records_unusable", extra={"fields": fields})
            hot.known = Known()
            return
        hot.source = _source_of(merged)
        areas = {} if self._in_place(hot) else await self._make_areas(hot, blocks)
        feed = await self._chunk_feed(
            {row: name for name, row in rows.items()}, areas, merged.ranges
        )
        _attach(hot, areas, feed)
        await self._run(hot, areas, self._counted(feed.counters, feed.run()))

    async def _counted(self, counters: FeedCounters, work: Awaitable[None]) -> None:
        self.feeds.join(counters)
        try:
            await work
        finally:
            self.feeds.leave(counters)

    async def _chunk_feed(
        self, rows: Mapping[int, LayerName], areas: Mapping[LayerName, HotArea], ranges: Ranges
    ) -> ChunkFeed:
        """Return a feed from the layers' chunks; `rows`: the layers as `ranges` numbers them.

        Layers without an area are fetched, and that is all.
        """
        sources, edges = {}, {}
        for row, name in rows.items():
            reader = (await self._with.files.open(name)).reader
            area, keep_hot = areas.get(name), None
            if area is None and self._with.page_cache:
                keep_hot = partial(self._with.page_cache.read_soon, str(BlockName(name)))
            sources[row] = Source(reader, area, spans(ranges, row, _GAP), keep_hot)
            edges[row] = ChunkEdges(*reader.chunks.edges)
        return ChunkFeed(sources, fetch_order(ranges, edges))

    async def _make_areas(
        self, hot: HotImage, blocks: Mapping[LayerName, I64]
    ) -> dict[LayerName, HotArea]:
        """Open the hot areas of these layers, made where they are not there yet."""
        together = tuple(sorted(blocks))
        origin = Origin(
            hot.image.reference, hot.image.manifest_digest, hot.workload, hot.source, together
        )
        areas = {}
        for name, numbers in blocks.items():
            hot.areas[name] = await self._with.areas.obtain(name, numbers, origin)
            hot.ready[name] = asyncio.Event()
            areas[name] = await self._with.areas.open(hot.areas[name])
        return areas

    async def _run(
        self, hot: HotImage, areas: Mapping[LayerName, HotArea], fill: Awaitable[None]
    ) -> None:
        """Fill the areas and write their metadata at the same time."""
        hot.missed_before = self._missed(hot)
        hot.settled.set()
        async with asyncio.TaskGroup() as group:
            # The largest first: its metadata take longest.
            for name in sorted(areas, key=lambda one: -areas[one].size):
                group.create_task(self._write_metadata(hot, name))
            await fill

    async def _write_metadata(self, hot: HotImage, name: LayerName) -> None:
        directory = self._with.layout.variant(name, hot.areas[name].variant)
        async with self._building:
            if not (directory / "meta.erofs").exists():
                await self._with.workers.quick(
                    materialise_hot,
                    self._with.layout.index(name),
                    directory / BLOCKS,
                    directory,
                    DEFAULT,
                )
        hot.ready[name].set()


def hot_layer(record: LayerRecord) -> HotLayer:
    """Return how a record of hot blocks names a layer."""
    return HotLayer(record.layer_digest, record.index_file_digest, record.size)


def _is_news(known: Known | None, source: str) -> bool:
    """Say whether the stores have something better than what is here from `source`."""
    if known is None:
        return False
    if known.pack is not None:
        return known.pack.digest != source
    return source.startswith(RECORD_SOURCE) and bool(known.records)


def _attach(hot: HotImage, areas: Mapping[LayerName, HotArea], feed: Feed) -> None:
    """Say what fills the areas from now on."""
    hot.feed = feed
    for area in areas.values():
        area.feed = feed


def _warn_of_pack(hot: HotImage, error: Exception) -> None:
    fields = {"image": hot.image.reference, "pack": hot.source, "reason": str(error)}
    log.warning("hot.pack_failed", extra={"fields": fields})


async def _read_front(stream: PackStream, pieces: ReceivedAhead, digest: str) -> OpenedPack:
    while (opened := stream.open()) is None:
        piece = await anext(pieces, b"")
        if not piece:
            raise CorruptError(f"hot pack {digest} ends in its directory")
        stream.receive(piece)
    return opened


def _check_useful(
    opened: OpenedPack, present: Mapping[LayerName, LayerRecord], digest: str
) -> None:
    if present and not opened.wanted:
        raise CorruptError(
            f"hot pack {digest} was made by other indexes than the image has now",
            hint="make it again: bootseer hot pack",
        )


def _source_of(merged: MergedRecord) -> str:
    """Return a name for what several records have in common, the same wherever it is merged."""
    ranges = merged.ranges
    columns = (ranges.layer, ranges.first, ranges.count)
    digest = hashlib.sha256(b"".join(column.astype("<i8").tobytes() for column in columns))
    return f"{RECORD_SOURCE}{digest.hexdigest()}"


def _expected(present: Mapping[LayerName, LayerRecord]) -> dict[str, Expected]:
    return {
        record.layer_digest: Expected(bytes.fromhex(record.merkle_root), record.size)
        for record in present.values()
        if record.merkle_root
    }


def _blocks_by_name(
    opened: OpenedPack, present: Mapping[LayerName, LayerRecord]
) -> dict[LayerName, I64]:
    """Return the blocks of each layer's hot area."""
    names = {record.layer_digest: name for name, record in present.items()}
    return {
        names[opened.directory.layers[row].layer_digest]: opened.directory.blocks_of(row)
        for row in sorted(opened.wanted)
    }
