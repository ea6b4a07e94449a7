"""A made-up layer with a pack of some of its blocks, and a source of packs that can misbehave."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bootseer.errors import RemoteError
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.reads import Source
from snapshotter.hot.hashtree import tree_of_area
from snapshotter.hot.pack import PackSettings, build_pack
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hot.unpack import Expected, OpenedPack, PackStream
from snapshotter.layers.records import BLOCK
from snapshotter.ports import Early
from snapshotter.starts.ahead import AheadRoom, ReceivedAhead
from snapshotter.starts.area import HotArea
from snapshotter.starts.feed import Download, FeedRules, PackFeed

LAYER = "sha256:" + "a" * 64
PACK = "sha256:" + "c" * 64
PATIENT = FeedRules(patience=1e9)
"""Whoever waits, waits for the download."""
HASTY = FeedRules(patience=0.0)
"""Whoever waits has the frame fetched out of turn, unless it comes at once."""


@dataclass
class PackSource:
    """Serves one pack, in pieces, with a breath between them."""

    pack: bytes
    piece: int = 3000
    ends_at: int | None = None
    """Streams end here without an error."""
    fails_at: int | None = None
    """Streams raise here."""
    reads_fail: bool = False
    stalls: bool = False
    """Streams say nothing more after their first piece."""
    streamed: list[int] = field(default_factory=list)
    """Where streams began."""
    read_at: list[int] = field(default_factory=list)
    closed: int = 0
    """Streams that were ended by whoever read them, or by themselves."""

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        self.read_at.append(offset)
        await asyncio.sleep(0)
        if self.reads_fail:
            raise RemoteError("no")
        return self.pack[offset : offset + length]

    async def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        assert length is None
        self.streamed.append(offset)
        end = len(self.pack) if self.ends_at is None else self.ends_at
        try:
            for at in range(offset, end, self.piece):
                await asyncio.sleep(0)
                if self.fails_at is not None and at + self.piece > self.fails_at:
                    raise RemoteError("the registry is gone")
                yield self.pack[at : min(at + self.piece, end)]
                if self.stalls:
                    await asyncio.Event().wait()
        finally:
            self.closed += 1


@dataclass
class DataOfLayer:
    """The data area of the layer, as a chunk cache gives it."""

    data: bytes
    fails: bool = False
    reads: int = 0

    async def fetch(self, offset: int, length: int) -> tuple[bytes, Source]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails:
            raise RemoteError("no chunk")
        return self.data[offset : offset + length], Source.DEMAND


class RefusingCache(CacheFile):
    """A cache on a disk that refuses some blocks."""

    refused: frozenset[int] = frozenset()

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        if any(offset <= block * BLOCK < offset + len(data) for block in self.refused):
            raise OSError(28, "No space left on device")
        super().write(offset, data)


@dataclass
class HotWorld:
    """A hot area and what fills it."""

    blocks: Sequence[int]
    """Of the data area, in the order of the hot area."""
    data: DataOfLayer
    source: PackSource
    opened: OpenedPack
    cache: RefusingCache
    area: HotArea
    executor: ThreadPoolExecutor

    @property
    def right(self) -> bytes:
        """What the hot area has to hold."""
        data = self.data.data
        return b"".join(data[block * BLOCK : (block + 1) * BLOCK] for block in self.blocks)

    def feed(self, rules: FeedRules = PATIENT) -> PackFeed:
        """Return a feed of the pack, which the area uses from now on."""
        made = PackFeed(PACK, self.opened, {LAYER: self.area}, self.source, self.executor, rules)
        self.area.feed = made
        return made

    def front(self) -> Download:
        """Return a download whose front was read, as `HotImages` begins one."""
        stream = PackStream({LAYER: self.expected})
        size = self.opened.directory.head.frames_at
        stream.receive(self.source.pack[:size])
        assert stream.open() is not None
        pieces = ReceivedAhead(self.source.stream(PACK, size), AheadRoom(0))
        return Download(stream, pieces, time.monotonic())

    @property
    def expected(self) -> Expected:
        layer = self.opened.directory.layers[0]
        return Expected(layer.merkle_root, layer.data_size)


def data_area(blocks: int, seed: int = 1) -> bytes:
    """Return the bytes of a data area, half of each block easy to compress."""
    chance = random.Random(seed)
    return b"".join(chance.randbytes(BLOCK // 2) + bytes(BLOCK // 2) for _ in range(blocks))


def hot_record(blocks: Sequence[int], count: int) -> Record:
    """Return the record of a start that touched these blocks of a layer of `count`."""
    return Record(
        manifest_digest="sha256:" + "5" * 64,
        workload="",
        created=1,
        window_ms=1000,
        length_ms=1000,
        ended=Ended.WINDOW,
        kernel="6",
        architecture="x86_64",
        layers=(HotLayer(LAYER, "sha256:" + "b" * 64, count * BLOCK),),
        ranges=make_ranges([(0, block, 1) for block in blocks]),
        time_ms=np.arange(len(blocks), dtype=np.int64),
    )


@contextmanager
def hot_world(
    directory: Path,
    blocks: Sequence[int] = tuple(range(39, -1, -2)),
    *,
    count: int = 40,
    frame_blocks: int = 4,
    patience: float = 1e9,
) -> Iterator[HotWorld]:
    """Make a world in an empty directory; `blocks` of `count` are hot."""
    data = data_area(count)
    tree = tree_of_area(lambda at, size: data[at : at + size], len(data))
    record = hot_record(blocks, count)
    settings = PackSettings(frame_blocks=frame_blocks)
    pack = build_pack(record, lambda _, at, size: data[at : at + size], {0: tree}, settings)
    stream = PackStream({LAYER: Expected(tree.root, len(data))})
    stream.receive(pack)
    opened = stream.open()
    assert opened is not None
    size = len(blocks) * BLOCK
    cache = RefusingCache(directory, key=bytes(32), chunks=len(blocks), size=size, keep_blob=False)
    layer = DataOfLayer(data)
    area = HotArea(LAYER, np.array(blocks, dtype=np.int64), cache, layer, patience=patience)
    with ThreadPoolExecutor(2) as executor:
        yield HotWorld(blocks, layer, PackSource(pack), opened, cache, area, executor)
        cache.close()
