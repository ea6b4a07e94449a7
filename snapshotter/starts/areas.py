"""The hot areas of a node, on disk beside their layers: made, found again, opened, forgotten.

A hot layout of a layer is a directory `<root>/l/<name>/h<number>/`:

    area.json                where its blocks come from (`Origin`), written last
    blocks                   their numbers in the data area, by position (8 bytes, little-endian)
    meta.erofs bottom.erofs  the metadata that points into it
    data present             the blocks themselves, as a chunk cache with a chunk a block

Race-free: the tables are the event loop's; an area enters `_opening` before the first await of its
opening, and what a number holds never changes.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np

from bootseer.atomic import write_atomic
from bootseer.errors import BootseerError, CorruptError, HostError, NotFoundError
from snapshotter.blocks.names import BlockName, LayerName, Role, Variant
from snapshotter.blocks.pagecache import PageCache
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.reads import ReadCounters
from snapshotter.layers.records import BLOCK, I64
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.layout import Layout, MountId
from snapshotter.starts.area import HotArea
from snapshotter.starts.numbers import Numbers
from snapshotter.tally import Tally

log = logging.getLogger(__name__)

BLOCKS: Final = "blocks"
_ORIGIN: Final = "area.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the blocks of a hot area come from."""

    reference: str
    manifest_digest: str
    workload: str
    source: str
    """Digest of the pack, or `record:` and a digest of what was recorded."""
    together: tuple[str, ...]
    """Names of all layers that have a hot area from this source."""
    blocks: str = ""
    """SHA-256 of the file with the blocks' numbers, in hex."""

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Origin":
        """Parse a file of ours. CorruptError if it is none."""
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields.pop("version") != _VERSION:
                raise CorruptError("hot area: of another version")
            fields["together"] = tuple(fields["together"])
            return cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptError(f"hot area: {error}") from error


class Areas:
    """Hot areas by the names of their block files."""

    def __init__(
        self,
        layout: Layout,
        files: LayerFiles,
        numbers: Numbers,
        page_cache: PageCache | None = None,
    ) -> None:
        """Find what earlier servers made. `page_cache`: for blocks as soon as they come in."""
        self._layout = layout
        self._files = files
        self._numbers = numbers
        self._page_cache = page_cache
        self._origins = dict(_on_disk(layout))
        self._open: dict[BlockName, HotArea] = {}
        self._opening: dict[BlockName, asyncio.Task[HotArea]] = {}
        self.reads = Tally(ReadCounters)
        """Of all hot areas, those that were forgotten included."""

    async def create(self, layer: LayerName, blocks: I64, origin: Origin) -> BlockName:
        """Make an empty hot area of a layer that is on this node; its metadata is still missing.

        OSError if the disk does not take it.
        """
        name = self._free(layer)
        numbers = blocks.astype("<i8").tobytes()
        origin = replace(origin, blocks=hashlib.sha256(numbers).hexdigest())
        self._origins[name] = origin
        try:
            await asyncio.to_thread(self._write, name, numbers, origin)
        except BaseException:
            del self._origins[name]
            raise
        return name

    def _free(self, layer: LayerName) -> BlockName:
        """Return a name whose directory is not there, as it may be after numbers began again."""
        while True:
            name = BlockName(layer, Variant(Role.HOT, self._numbers.take()))
            if not self._layout.variant(layer, name.variant).exists():
                return name

    def _write(self, name: BlockName, blocks: bytes, origin: Origin) -> None:
        directory = self._layout.variant(name.layer, name.variant)
        directory.mkdir(mode=0o700)
        write_atomic(directory / BLOCKS, blocks, durable=False)
        write_atomic(directory / _ORIGIN, origin.encode(), durable=False)

    async def obtain(self, layer: LayerName, blocks: I64, origin: Origin) -> BlockName:
        """Return the hot area of a layer from a source, made if there is none that can be used.

        Raises:
            NotFoundError, CorruptError, HostError: the layer cannot be opened.
            OSError: the disk does not take it.
        """
        await self._files.open(layer)
        found = self.find(layer, origin.source)
        if found is not None:
            try:
                await self.open(found)
            except (CorruptError, HostError) as error:
                fields = {"area": str(found), "reason": error.message}
                log.warning("hot.area_replaced", extra={"fields": fields})
                await self.forget(found)
            else:
                return found
        return await self.create(layer, blocks, origin)

    def __contains__(self, name: BlockName) -> bool:
        """Say whether a hot area is on this node."""
        return name in self._origins

    def find(self, layer: LayerName, source: str) -> BlockName | None:
        """Return the hot area of a layer from a source, if there is one."""
        found = (n for n, o in self._origins.items() if n.layer == layer and o.source == source)
        return next(found, None)

    def origin(self, name: BlockName) -> Origin:
        """Return where a hot area comes from. NotFoundError if it is not on this node."""
        try:
            return self._origins[name]
        except KeyError:
            raise NotFoundError(f"hot area {name}: not on this node") from None

    def newest(self) -> set[BlockName]:
        """Return the newest hot area of every layer, image and workload."""
        best: dict[tuple[str, str, str], BlockName] = {}
        for name, origin in self._origins.items():
            key = (name.layer, origin.manifest_digest, origin.workload)
            if key not in best or name.variant.number > best[key].variant.number:
                best[key] = name
        return set(best.values())

    async def whole(self, manifest_digest: str, workload: str) -> dict[LayerName, BlockName]:
        """Return the newest hot areas of an image if all of one source are here, and whole."""
        wanted = (manifest_digest, workload)
        for name in sorted(self.newest(), key=lambda one: -one.variant.number):
            origin = self._origins.get(name)
            if origin is None or (origin.manifest_digest, origin.workload) != wanted:
                continue
            found = {layer: self.find(LayerName(layer), origin.source) for layer in origin.together}
            names = {one.layer: one for one in found.values() if one is not None}
            if len(names) == len(found) and await self._are_whole(names.values()):
                return names
        return {}

    async def _are_whole(self, names: Iterable[BlockName]) -> bool:
        for name in names:
            mount = MountId(name.layer, bottom=False, variant=name.variant)
            try:
                if not self._layout.metadata(mount).exists() or (await self.open(name)).missing:
                    return False
            except BootseerError:
                return False  # damaged: `obtain` makes a new one, and says why
        return True

    async def open(self, name: BlockName) -> HotArea:
        """Return a hot area, opened if it was not.

        Raises:
            NotFoundError: no such area on disk, or its layer is not.
            CorruptError, HostError: its files are damaged or cannot be opened.
        """
        area = self._open.get(name)
        if area is not None:
            return area
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = asyncio.create_task(self._load(name))
            opening.add_done_callback(partial(self._opened, name))
        return await asyncio.shield(opening)

    def _opened(self, name: BlockName, task: "asyncio.Task[HotArea]") -> None:
        del self._opening[name]
        if not task.cancelled() and task.exception() is None:
            area = self._open[name] = task.result()
            self.reads.join(area.reads)

    async def _load(self, name: BlockName) -> HotArea:
        layer = await self._files.open(name.layer)
        blocks, cache = await asyncio.to_thread(self._read, name, layer.size)
        keep_hot = partial(self._page_cache.read_soon, str(name)) if self._page_cache else None
        return HotArea(layer.record.layer_digest, blocks, cache, layer, keep_hot)

    def _read(self, name: BlockName, data_size: int) -> tuple[I64, CacheFile]:
        directory = self._layout.variant(name.layer, name.variant)
        origin = self.origin(name)
        try:
            numbers = (directory / BLOCKS).read_bytes()
        except OSError as error:
            raise HostError(f"hot area {name}: {error}") from error
        # The metadata points into this order: with another one, files would have other contents.
        if hashlib.sha256(numbers).hexdigest() != origin.blocks:
            raise CorruptError(f"hot area {name}: the list of its blocks is damaged")
        blocks = np.frombuffer(numbers, dtype="<i8").astype(np.int64)
        if not len(blocks) or blocks.min() < 0 or blocks.max() >= data_size // BLOCK:
            raise CorruptError(f"hot area {name}: its blocks are not of the layer")
        key = hashlib.sha256(origin.source.encode() + numbers).digest()
        size = len(blocks) * BLOCK
        return blocks, CacheFile(directory, key=key, chunks=len(blocks), size=size, keep_blob=False)

    def names(self) -> list[BlockName]:
        """Return the hot areas that are open."""
        return list(self._open)

    def opened(self) -> dict[BlockName, HotArea]:
        """Return the hot areas that are open."""
        return dict(self._open)

    async def close(self, name: BlockName) -> bool:
        """Close a hot area that nobody reads, for the next start; False if that is to make a new
        one: what is not whole would not be filled any more.
        """
        area = self._open.get(name)
        if area is None:
            return True
        if area.missing:
            return False
        await self._flush(name, area)
        if self._open.get(name) is area:
            del self._open[name]
            self.reads.leave(area.reads)
            area.close()
        return True

    async def forget(self, name: BlockName) -> None:
        """Close a hot area that nobody can read any more, before its files are removed."""
        self._origins.pop(name, None)
        area = self._open.pop(name, None)
        if area is not None:
            self.reads.leave(area.reads)
            area.close()

    async def flush(self, *, calm: float = 0.0) -> None:
        """Make what all areas hold survive a crash; not of those that changed `calm` s ago."""
        for name, area in self.opened().items():
            if time.monotonic() - area.changed >= calm:
                await self._flush(name, area)

    async def _flush(self, name: BlockName, area: HotArea) -> None:
        try:
            await area.cache.flush()
        except OSError as error:
            fields = {"area": str(name), "reason": str(error)}
            log.warning("hot.flush_failed", extra={"fields": fields})


def _on_disk(layout: Layout) -> Iterator[tuple[BlockName, Origin]]:
    """Yield the hot areas that earlier servers made."""
    for path in layout.layers.glob(f"*/h*/{_ORIGIN}"):
        name = BlockName.parse(path.parent.parent.name + path.parent.name)
        if name is None:
            continue
        try:
            yield name, Origin.decode(path.read_bytes())
        except (BootseerError, OSError) as error:
            fields = {"path": str(path), "reason": str(error)}
            log.warning("hot.area_ignored", extra={"fields": fields})
