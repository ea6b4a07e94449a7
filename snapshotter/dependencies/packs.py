"""The packs of a snapshot as one blob, read from the store that has them.

Race-free: the event loop's thread only; a store is opened before the first await between looking
and keeping it.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from bootseer.blobs.addresses import directory_at
from bootseer.blobs.store import BlobStore
from bootseer.config import Registry
from bootseer.together import together
from depsnap.snapshots.names import pack_name
from depsnap.snapshots.places import Place, open_store
from snapshotter.chunks.chunkmap import ChunkMap
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
        self._lock = asyncio.Lock()

    async def at(self, address: str) -> BlobStore:
        """Return the store at an address. UsageError if it is none."""
        async with self._lock:
            if address not in self._stores:
                opening = open_store(Place(address, self._patience, self._registry))
                self._stores[address] = await self._stack.enter_async_context(opening)
        return self._stores[address]


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
        end = offset + length
        first = bisect_right(self.starts, offset) - 1
        parts = []
        for row in range(first, len(self.names)):
            low, high = max(offset, self.starts[row]), min(end, self.starts[row + 1])
            if self.starts[row] >= end:
                break
            if low < high:
                parts.append((self.names[row], low - self.starts[row], high - low))
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
class SnapshotOpener:
    """The `ImageOpener` of dependency snapshots. Their sources are addresses of stores."""

    stores: Stores

    async def open(self, directory: Path, record: LayerRecord) -> BlockImage:
        """Return the image whose files are in `directory`; see `ImageOpener.open`."""
        opened = await asyncio.to_thread(read_files, directory)
        names = [pack_name(digest) for digest, _ in opened.packs]
        starts = [0, *accumulate(size for _, size in opened.packs)]
        sources = [
            PackedBlob(await self.stores.at(address), names, starts) for address in record.sources
        ]
        return BlockImage(
            ChunkMap(opened.blocks),
            opened.key,
            "",
            FirstOf(sources),
            FrameDecoder(opened.blocks, opened.stamps),
            together=all(directory_at(address) is not None for address in record.sources),
        )
