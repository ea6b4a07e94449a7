"""Brings the hot blocks of an image: from a pack or from chunks, into hot areas or in place.

Hot areas are made beside the layers, their metadata is written, and a feed fills them, while
containerd is still asking for one layer after the other.

Race-free: the event loop's thread only; one call at a time for an image (see `hotimages`).
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Final

from bootseer.errors import BootseerError, CorruptError, NotFoundError
from snapshotter.blocks.names import BlockName, LayerName
from snapshotter.hot.merge import merge
from snapshotter.hot.order import ChunkEdges, fetch_order
from snapshotter.hot.ranges import Ranges, spans
from snapshotter.hot.record import MergedRecord, Record, blocks_of
from snapshotter.hot.unpack import OpenedPack
from snapshotter.layers.records import I64
from snapshotter.limits import DEFAULT
from snapshotter.ports import MirroredSource, PublishedPack
from snapshotter.serving.layout import LayerRecord
from snapshotter.serving.materialise import materialise_hot
from snapshotter.starts.ahead import AheadRoom
from snapshotter.starts.area import Feed, FeedCounters, HotArea
from snapshotter.starts.areas import BLOCKS, Origin
from snapshotter.starts.chunkfeed import ChunkFeed, Source
from snapshotter.starts.course import Course, Known, choose
from snapshotter.starts.feed import Download, PackFeed
from snapshotter.starts.hotimage import HotImage, HotServices, hot_layer
from snapshotter.starts.packfront import blocks_by_name, open_pack
from snapshotter.starts.searching import RECORD_SOURCE, search
from snapshotter.tally import Tally

log = logging.getLogger(__name__)

_GAP: Final = 128
"""Blocks between hot ones that are read into the page cache with them if they came with them: a
request costs more."""


class Bringing:
    """Brings hot blocks, of any number of images at the same time."""

    def __init__(self, services: HotServices) -> None:
        self._with = services
        self._building = asyncio.Semaphore(1)
        """Leaves a worker to those who wait for a mount."""
        self._room = AheadRoom()
        self.feeds = Tally(FeedCounters)
        """Of all feeds, those that are over included."""

    def missed(self, hot: HotImage) -> int:
        """Return about how many bytes were missed in the data areas of the image's layers."""
        opened = self._with.files.opened()
        readers = [opened[name].reader for name in hot.areas if name in opened]
        return sum(
            reader.counters.demand_misses * reader.size // max(len(reader.chunks), 1)
            for reader in readers
        )

    async def from_pack(self, hot: HotImage, pack: PublishedPack, source: MirroredSource) -> Course:
        """Fill hot areas from a pack; return how containers start: without one that is no use."""
        try:
            layers = partial(self._with.layers.present, hot.image)
            download, opened, present = await open_pack(pack, source, layers, self._room)
        except (CorruptError, NotFoundError) as error:
            fields = {"image": hot.image.reference, "pack": pack.digest, "reason": error.message}
            log.warning("hot.pack_unusable", extra={"fields": fields})
            hot.known, _ = await search(hot, self._with, packs_too=False)
            return choose(self._with.policy, hot.known, recording=False)
        hot.source = pack.digest
        areas = await self._make_areas(hot, blocks_by_name(opened, present))
        fill = self._fill_from_pack(hot, opened, download, source, areas)
        await self._run(hot, areas, present, fill)
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

    async def from_records(self, hot: HotImage, records: Sequence[Record]) -> None:
        """Bring what records name, chunk by chunk; nothing where they are of other indexes."""
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
        areas = {} if self._with.in_place(hot.image) else await self._make_areas(hot, blocks)
        feed = await self._chunk_feed(
            {row: name for name, row in rows.items()}, areas, merged.ranges
        )
        _attach(hot, areas, feed)
        await self._run(hot, areas, present, self._counted(feed.counters, feed.run()))

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
            area, page_cache = areas.get(name), self._with.page_cache
            if area is None and page_cache:
                keep_hot = partial(page_cache.read_soon, str(BlockName(name)))
                sources[row] = Source(reader, None, spans(ranges, row, _GAP), keep_hot)
            else:
                sources[row] = Source(reader, area)
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
        self,
        hot: HotImage,
        areas: Mapping[LayerName, HotArea],
        present: Mapping[LayerName, LayerRecord],
        fill: Awaitable[None],
    ) -> None:
        """Fill the areas and write their metadata at the same time."""
        hot.missed_before = self.missed(hot)
        hot.settled.set()
        async with asyncio.TaskGroup() as group:
            # The largest first: its metadata take longest.
            for name in sorted(areas, key=lambda one: -areas[one].size):
                two_faced = present[name].two_faced
                group.create_task(self._write_metadata(hot, name, two_faced=two_faced))
            await fill

    async def _write_metadata(self, hot: HotImage, name: LayerName, *, two_faced: bool) -> None:
        directory = self._with.layout.variant(name, hot.areas[name].variant)
        async with self._building:
            if not (directory / "meta.erofs").exists():
                await self._with.workers.quick(
                    materialise_hot,
                    self._with.layout.index(name),
                    directory / BLOCKS,
                    directory,
                    DEFAULT,
                    two_faced=two_faced,
                )
        hot.ready[name].set()


def _attach(hot: HotImage, areas: Mapping[LayerName, HotArea], feed: Feed) -> None:
    """Say what fills the areas from now on."""
    hot.feed = feed
    for area in areas.values():
        area.feed = feed


def _warn_of_pack(hot: HotImage, error: Exception) -> None:
    fields = {"image": hot.image.reference, "pack": hot.source, "reason": str(error)}
    log.warning("hot.pack_failed", extra={"fields": fields})


def _source_of(merged: MergedRecord) -> str:
    """Return a name for what several records have in common, the same wherever it is merged."""
    ranges = merged.ranges
    columns = (ranges.layer, ranges.first, ranges.count)
    digest = hashlib.sha256(b"".join(column.astype("<i8").tobytes() for column in columns))
    return f"{RECORD_SOURCE}{digest.hexdigest()}"
