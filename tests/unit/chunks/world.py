"""A layer whose chunks lie in a made-up blob, and a source of that blob that can misbehave."""

import asyncio
import hashlib
import random
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.chunks.carrier import Carrier
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.far import FarCarrier
from snapshotter.chunks.fetching import FetchPolicy
from snapshotter.chunks.flights import Flights, KeepHot, Services
from snapshotter.chunks.fresh import Fresh
from snapshotter.chunks.maker import Maker
from snapshotter.chunks.near import Near, NearCarrier
from snapshotter.chunks.reader import LayerReader
from snapshotter.chunks.room import DiskRoom
from snapshotter.chunks.turns import Turns
from snapshotter.chunks.windows import Windows, new_cache
from snapshotter.layers.records import BlockMap, ChunkTable, Extents
from snapshotter.ports import Early

SKIP = 7
KEY = bytes(32)


def block_map(sizes: list[int]) -> tuple[BlockMap, bytes, bytes]:
    """Return a map of chunks with these data sizes, the data area, and the blob: SKIP junk bytes,
    then the chunk's bytes complemented (so that blob and data can't be mixed up)."""
    random_bytes = random.Random(len(sizes)).randbytes
    pieces = [random_bytes(size) for size in sizes]
    data = b"".join(pieces)
    packed = [b"#" * SKIP + bytes(255 - b for b in piece) for piece in pieces]
    count = len(sizes)
    ends = np.cumsum([0, *sizes], dtype=np.uint64)
    chunks = ChunkTable(
        blob=np.cumsum([0, *map(len, packed)], dtype=np.uint64),
        tar=ends,
        data=ends,
        digest=np.frombuffer(
            b"".join(hashlib.sha256(piece).digest() for piece in pieces), np.uint8
        ).reshape(count, 32),
        codec=np.zeros(count, np.uint8),
        skip=np.full(count, SKIP, np.uint32),
        bits=np.zeros(count, np.uint8),
        window=np.arange(count + 1, dtype=np.uint64) * np.uint64(10),
    )
    empty = np.zeros(0, np.uint64)
    made = BlockMap(
        layer_digest="sha256:" + "a" * 64,
        layer_size=int(chunks.blob[-1]),
        windows_digest="sha256:" + "b" * 64,
        merkle_root=bytes(32),
        extents=Extents(empty, empty, empty),
        chunks=chunks,
    )
    return made, data, b"".join(packed)


@dataclass
class FakeBlob:
    """One blob; corrupts, fails on demand."""

    blob: bytes
    corrupt_next: int = 0
    error: Exception | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    def give(self, offset: int, length: int) -> bytes:
        if self.error:
            raise self.error
        body = self.blob[offset : offset + length]
        assert len(body) == length, "asked beyond the end of the blob"
        if self.corrupt_next:
            self.corrupt_next -= 1
            return bytes(255 - b for b in body)
        return body


@dataclass
class FakeSource(FakeBlob):
    """Serves the blob and a windows blob of zeros; counts, delays."""

    delay: float = 0.0
    windows: bytes = bytes(1)
    """What the windows blob is made of, a byte repeated."""
    rest: asyncio.Event | None = None
    """What a reader wants early is there at once, all else when this is set."""
    piece: int = 1 << 20
    """Bytes that a stream yields at once."""
    hold_after: int = 1 << 60
    """A stream goes on behind so many bytes when `flow` is set."""
    flow: asyncio.Event = field(default_factory=asyncio.Event)
    ends_after: int = 1 << 60
    """The next stream that has given so many bytes ends."""
    streamed: int = 0
    """Bytes that streams have yielded."""
    corrupt_until_doubted: bool = False
    """A mirror's copy is bad; the registry's is good."""

    async def doubt(self, digest: str) -> None:
        self.corrupt_until_doubted = False

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        if digest.endswith("b" * 64):
            return self.windows * length
        self.asked.append((offset, length))
        await asyncio.sleep(self.delay)
        body = self.give(offset, length)
        if self.corrupt_until_doubted:
            body = bytes(len(body))
        if early is not None and self.rest is not None:
            early.arrived(body[: early.length])
            await self.rest.wait()
        return body

    async def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        length = len(self.blob) - offset if length is None else length
        self.asked.append((offset, length))
        for start in range(offset, offset + length, self.piece):
            if start - offset >= self.hold_after:
                await self.flow.wait()
            await asyncio.sleep(self.delay)
            if self.error:
                raise self.error
            if start - offset >= self.ends_after:
                self.ends_after = 1 << 60
                return
            piece = self.give(start, min(self.piece, offset + length - start))
            self.streamed += len(piece)
            yield piece


@dataclass
class FakeNear(FakeBlob):
    """The blob on a disk that can hang."""

    patience: float = 10.0
    answering: threading.Event = field(default_factory=threading.Event)

    def read_now(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        self.answering.wait()
        return self.give(offset, length)


@dataclass
class World:
    """A reader over a made-up layer."""

    reader: LayerReader
    source: FakeSource
    data: bytes
    tasks: set[asyncio.Task[None]]
    room: DiskRoom
    decoding: threading.Event
    """Decoding waits for this."""
    decoded: list[int]
    """Chunks, in their order."""
    near: FakeNear
    fresh: Fresh


@contextmanager
def make_world(
    tmp_path: Path,
    sizes: list[int],
    *,
    idle: int = 0,
    keep_hot: KeepHot | None = None,
    is_near: bool = False,
    **policy: Any,
) -> Iterator[World]:
    made, data, blob = block_map(sizes)
    chunks = ChunkMap(made)
    source = FakeSource(blob)
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    decoding = threading.Event()
    decoding.set()
    decoded: list[int] = []

    def decode(chunk: int, compressed: bytes, window: bytes) -> bytes:
        decoding.wait()
        decoded.append(chunk)
        size = sizes[chunk]
        found = bytes(255 - b for b in compressed[SKIP : SKIP + size])
        right = not any(window)
        if hashlib.sha256(found).digest() != made.chunks.digest[chunk].tobytes() or not right:
            raise CorruptError(f"chunk {chunk} has another digest")
        return found

    cache = CacheFile(tmp_path, key=KEY, chunks=len(chunks), size=len(data), past_cache=is_near)
    disk = FakeNear(blob)
    disk.answering.set()
    with ThreadPoolExecutor(2) as executor, ThreadPoolExecutor(2) as others:
        services = Services(Turns(executor), spawn, FetchPolicy(idle=idle, **policy))

        def carrier() -> Carrier:
            if is_near:
                return NearCarrier(made.layer_digest, chunks, Near(disk, Turns(others)))
            windows = Windows(made.windows_digest, chunks, source, new_cache())
            return FarCarrier(made.layer_digest, chunks, source, windows, services.threads)

        services = services.near() if is_near else services
        maker = Maker(chunks, cache, decode, services.room)
        flights = Flights(made.layer_digest, maker, carrier(), services, keep_hot=keep_hot)
        try:
            reader, fresh = LayerReader(flights), services.fresh
            yield World(reader, source, data, tasks, services.room, decoding, decoded, disk, fresh)
        finally:
            decoding.set()  # or a test that fails would wait for the threads for ever
            disk.answering.set()
        cache.close()
