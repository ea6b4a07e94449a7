"""The packs of a snapshot as one blob, read from the store that has them.

Race-free: the event loop's thread only; a store is opened before the first await between looking
and keeping it. What is near is read by threads, which look at what never changes.
"""

import asyncio
import contextlib
import os
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from bootseer.blobs.directory import DirectoryBlobs
from bootseer.blobs.store import BlobStore
from bootseer.config import Registry
from bootseer.errors import BootseerError, CorruptError, HostError, NotFoundError
from bootseer.together import together
from depsnap.snapshots.names import pack_name
from depsnap.snapshots.places import Place, open_store
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.near import Near
from snapshotter.chunks.turns import Turns
from snapshotter.dependencies.files import read_files
from snapshotter.dependencies.frames import FrameDecoder
from snapshotter.ports import Early
from snapshotter.serving.blockimage import BlockImage
from snapshotter.serving.layout import LayerRecord
from snapshotter.serving.sources import FirstOf

_PIECE: Final = 1 << 20
_REQUEST: Final = 4 << 20
"""Bytes that a stream asks a store for at once: it may be far."""
_AT_ONCE: Final = 4


class Stores:
    """The stores that this node reads snapshots from, each opened once. Used inside `opened`."""

    def __init__(
        self, stack: contextlib.AsyncExitStack, patience: float, registry: Registry
    ) -> None:
        """`patience`: seconds that one access may take; `registry`: how registries are reached."""
        self._stack = stack
        self._patience = patience
        self._registry = registry
        self._stores: dict[str, BlobStore] = {}
        self._threads: dict[str, Turns] = {}
        self._lock = asyncio.Lock()

    async def at(self, address: str) -> BlobStore:
        """Return the store at an address. UsageError if it is none."""
        async with self._lock:
            if address not in self._stores:
                opening = open_store(Place(address, self._patience, self._registry))
                self._stores[address] = await self._stack.enter_async_context(opening)
        return self._stores[address]

    def threads(self, address: str) -> Turns:
        """Return threads for what is near at an address."""
        if address not in self._threads:
            executor = ThreadPoolExecutor(os.cpu_count(), "near")
            self._stack.callback(executor.shutdown, wait=False, cancel_futures=True)
            self._threads[address] = Turns(executor)
        return self._threads[address]


@contextlib.asynccontextmanager
async def opened_stores(patience: float, registry: Registry) -> AsyncIterator[Stores]:
    """Have stores while the context is open."""
    async with contextlib.AsyncExitStack() as stack:
        yield Stores(stack, patience, registry)


@dataclass(frozen=True, slots=True)
class PackedBlob:
    """A `MirroredSource` of one blob: packs, one behind the other. Digests are not looked at."""

    store: BlobStore
    names: Sequence[str]
    """Of the packs in the store."""
    starts: Sequence[int]
    """Where each starts; one value more for the end."""

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        """Return bytes of the blob."""
        if early is None or not 0 < early.length < length:
            return await self._read(offset, length)
        front = await self._read(offset, early.length)
        early.arrived(front)
        return front + await self._read(offset + len(front), length - len(front))

    async def _read(self, offset: int, length: int) -> bytes:
        parts = parts_of(self.names, self.starts, offset, length)
        found = await together(lambda part: self.store.read(*part), parts, _AT_ONCE)
        return found[0] if len(found) == 1 else b"".join(found)

    async def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the blob from `offset` on, or a part of it."""
        end = self.starts[-1] if length is None else offset + length
        while offset < end:
            data = await self._read(offset, min(_REQUEST, end - offset))
            for start in range(0, len(data), _PIECE):
                yield data[start : start + _PIECE]
            offset += len(data)

    async def doubt(self, digest: str) -> None:
        """Do nothing: a store is one place."""


@dataclass(frozen=True, slots=True)
class NearPacks:
    """A `NearSource` of the same blob: packs in directories, tried in their order."""

    stores: Sequence[DirectoryBlobs]
    names: Sequence[str]
    starts: Sequence[int]

    @property
    def patience(self) -> float:
        """Seconds that a read may take."""
        return sum(store.patience for store in self.stores)

    def read_now(self, offset: int, length: int) -> bytes:
        """Return bytes of the blob; see `NearSource.read_now`."""
        parts = parts_of(self.names, self.starts, offset, length)
        return b"".join([self._part(*part) for part in parts])

    def _part(self, name: str, offset: int, length: int) -> bytes:
        failure: BootseerError | None = None
        for store in self.stores:
            try:
                return store.read_now(name, offset, length)
            except (NotFoundError, HostError, CorruptError) as error:
                failure = failure or error
        raise failure or NotFoundError(f"{name}: nowhere to read it from")


def parts_of(
    names: Sequence[str], starts: Sequence[int], offset: int, length: int
) -> list[tuple[str, int, int]]:
    """Return what to read of which pack, as (name, offset, length), for bytes of the blob."""
    end = offset + length
    parts = []
    for row in range(bisect_right(starts, offset) - 1, len(names)):
        low, high = max(offset, starts[row]), min(end, starts[row + 1])
        if starts[row] >= end:
            break
        if low < high:
            parts.append((names[row], low - starts[row], high - low))
    return parts


@dataclass(frozen=True, slots=True)
class SnapshotOpener:
    """The `ImageOpener` of dependency snapshots. Their sources are addresses of stores."""

    stores: Stores

    async def open(self, directory: Path, record: LayerRecord) -> BlockImage:
        """Return the image whose files are in `directory`; see `ImageOpener.open`."""
        opened = await asyncio.to_thread(read_files, directory)
        names = [pack_name(digest) for digest, _ in opened.packs]
        starts = [0, *accumulate(size for _, size in opened.packs)]
        stores = [await self.stores.at(address) for address in record.sources]
        directories = [store for store in stores if isinstance(store, DirectoryBlobs)]
        near = None
        if directories and len(directories) == len(stores):
            packs = NearPacks(directories, names, starts)
            near = Near(packs, self.stores.threads(record.sources[0]))
        return BlockImage(
            ChunkMap(opened.blocks),
            opened.key,
            "",
            FirstOf([PackedBlob(store, names, starts) for store in stores]),
            FrameDecoder(opened.blocks, opened.stamps),
            near=near,
        )
