"""The cache of one layer on local disk: its data area as a sparse file, and what of it is there.

    data     the data area; holes where nothing came yet
    blob     the compressed layer, kept until the whole of it was checked, then removed
    present  see `presence`; only ever behind the data: write, fdatasync, then say so; and say that
             something is gone before it goes

Race-free because: `presence` changes in the event loop's thread only (`add` after a worker thread
has written the chunk and returned); worker threads write disjoint ranges, one writer a chunk
(single flight in `reader`); the file `present` is replaced under a lock, and the copy of the bits
is taken under it before anything is synced: a chunk that is marked meanwhile is in the next copy,
never in a copy older than its data; a chunk that is given up is in no copy that is written after.
"""

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from bootseer.atomic import sync_directory, write_atomic
from bootseer.errors import CorruptError, HostError
from bootseer.write_all import write_all
from snapshotter.chunks.descriptor import Descriptor
from snapshotter.chunks.holes import punch_hole
from snapshotter.chunks.past_cache import PastCache
from snapshotter.chunks.presence import Presence, decode

log = logging.getLogger(__name__)

_NOWAIT: Final = os.RWF_NOWAIT
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

Span: TypeAlias = tuple[int, int]
"""Bytes `[start, end)` of a file."""


class CacheFile:
    """Data, blob and presence of one layer in `directory`."""

    def __init__(
        self,
        directory: Path,
        *,
        key: bytes,
        chunks: int,
        size: int,
        keep_blob: bool = True,
        past_cache: bool = False,
    ) -> None:
        """Open or create the files.

        Args:
            directory: exists; belongs to this layer alone.
            key: SHA-256 of the layer's index.
            chunks: number of chunks.
            size: bytes of the data area.
            keep_blob: keep the compressed bytes too, until the whole layer was checked.
            past_cache: write pieces past the kernel's page cache.

        Raises:
            HostError: the files cannot be made.
        """
        self._directory = directory
        self._key = key
        self._dirty = False
        self._replacing = asyncio.Lock()
        try:
            self._data = _open(directory / "data")
            with self._data as number:
                fresh = os.fstat(number).st_size != size
                os.ftruncate(number, size)
            self._past = PastCache(directory / "data", self._data) if past_cache else None
        except OSError as error:
            raise HostError(f"cannot open the cache of a layer in {directory}: {error}") from error
        self.presence = Presence(chunks) if fresh else self._load(chunks)
        keep_blob = keep_blob and not self.presence.audited
        self._blob = _open(self.blob_path) if keep_blob else None

    def _load(self, chunks: int) -> Presence:
        try:
            return decode((self._directory / "present").read_bytes(), self._key, chunks)
        except FileNotFoundError:
            return Presence(chunks)
        except CorruptError as error:
            log.warning(
                "cache.presence_ignored",
                extra={"fields": {"directory": str(self._directory), "reason": error.message}},
            )
            return Presence(chunks)

    @property
    def directory(self) -> Path:
        """Where the files are."""
        return self._directory

    @property
    def data_path(self) -> Path:
        """The data area as a file."""
        return self._directory / "data"

    @property
    def blob_path(self) -> Path:
        """The compressed layer as a file; complete when nothing is missing, until `drop_blob`."""
        return self._directory / "blob"

    def read_nowait(self, offset: int, length: int) -> bytearray | None:
        """Return bytes of the data area from the page cache, or None if that would block."""
        buffer = bytearray(length)
        try:
            with self._data as number:
                count = os.preadv(number, [buffer], offset, _NOWAIT)
        except (BlockingIOError, OSError) as error:
            if isinstance(error, BlockingIOError) or error.errno == errno.EOPNOTSUPP:
                return None
            raise
        return buffer if count == length else None

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the data area (blocking). Short only at its end."""
        with self._data as number:
            return os.pread(number, length, offset)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write bytes of the data area (blocking). OSError if the disk will not take them."""
        with self._data as number:
            write_all(number, offset, data)

    def write_pieces(self, offset: int, pieces: Sequence[bytes | memoryview]) -> memoryview | None:
        """Write adjacent pieces of the data area (blocking). OSError if the disk won't take them.

        At most IOV_MAX (1024) pieces. Returns them as one, if they went past the page cache.
        """
        if self._past is not None:
            return self._past.write(offset, pieces)
        with self._data as number:
            written = os.pwritev(number, pieces, offset)
            if written < sum(map(len, pieces)):
                write_all(number, offset + written, memoryview(b"".join(pieces))[written:])
        return None

    def write_blob(self, offset: int, data: bytes | memoryview) -> None:
        """Keep bytes of the compressed layer for the check of the whole (blocking)."""
        blob = self._blob
        if blob is not None:
            with blob as number:
                write_all(number, offset, data)

    def mark(self, chunks: Iterable[int]) -> None:
        """Say that these chunks were written. Event loop only."""
        for chunk in chunks:
            self.presence.add(chunk)
        self._dirty = True

    @property
    def dirty(self) -> bool:
        """Whether something is marked that would not survive a crash yet."""
        return self._dirty

    async def flush(self) -> None:
        """Make what is marked survive a crash."""
        if self._dirty:
            async with self._replacing:
                if self._dirty:
                    await self._sync()

    async def give_up(self, data: Sequence[Span], blob: Sequence[Span]) -> None:
        """Give the space of parts of the two files back, whose chunks were discarded.

        Nobody may read or write them until this is done. OSError if the disk refuses.
        """
        async with self._replacing:
            try:
                await self._sync()
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                await asyncio.to_thread(self._forget)
            await asyncio.to_thread(self._punch, data, blob)

    async def _sync(self) -> None:
        self._dirty = False
        bits = self.presence.encode(self._key)
        try:
            await asyncio.to_thread(self._write_presence, bits)
        except OSError:
            self._dirty = True
            raise

    def _write_presence(self, bits: bytes) -> None:
        blob = self._blob
        if blob is not None:
            with blob as number:
                os.fdatasync(number)
        with self._data as number:
            os.fdatasync(number)
        write_atomic(self._directory / "present", bits)

    def _forget(self) -> None:
        """Say for now that nothing is here: even a full disk takes that."""
        (self._directory / "present").unlink(missing_ok=True)
        sync_directory(self._directory)

    def _punch(self, data: Sequence[Span], blob: Sequence[Span]) -> None:
        files = ((self._data, data), (self._blob, blob))
        for file, spans in files:
            if file is not None:
                with file as number:
                    for start, end in spans:
                        if start < end:
                            punch_hole(number, start, end - start)

    def drop_blob(self) -> None:
        """Remove the compressed layer: it was checked."""
        self._close_blob()
        self.blob_path.unlink(missing_ok=True)
        self.presence.audited = True
        self._dirty = True

    def disk_usage(self) -> int:
        """Return the bytes that the layer takes on disk."""
        with self._data as number:
            total = os.fstat(number).st_blocks * 512
        with contextlib.suppress(FileNotFoundError):
            total += self.blob_path.stat().st_blocks * 512
        return total

    def close(self) -> None:
        """Close the files, as soon as no thread uses them any more. The caller has flushed."""
        self._data.close()
        if self._past is not None:
            self._past.close()
        self._close_blob()

    def _close_blob(self) -> None:
        blob, self._blob = self._blob, None
        if blob is not None:
            blob.close()


def _open(path: Path) -> Descriptor:
    return Descriptor(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
