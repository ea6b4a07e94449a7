"""Files of a volume as ends of copies.

Concurrency: a target has one owner that calls one method at a time. A file that two copies write at
the same time is the one that ends last, whole, as with mounts.
"""

import contextlib
import errno
from typing import Final

from fuse_hdfs.files.reading import reader_of
from fuse_hdfs.files.version import Entry, Version
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import SegmentWriter
from fuse_hdfs.striping.layout import Manifest, spliced
from fuse_hdfs.transfer import unfinished
from fuse_hdfs.transfer.ends import About

_SAVED: Final = 1 << 30
_SEGMENTS: Final = 32
"""A file of many segments would be written anew, whole, at its next change."""


class StoredFiles:
    """The files of a volume."""

    def __init__(self, volume: Volume, saved: int = _SAVED) -> None:
        """`saved`: bytes after which an upload can be gone on with, if not more for its size."""
        self._volume = volume
        self._saved = saved

    async def about(self, path: str) -> About | None:
        """See `Files.about`."""
        try:
            return _about(await self._volume.stat(path))
        except FileNotFoundError:
            return None

    async def list(self, path: str) -> dict[str, About]:
        """See `Files.list`."""
        return {one.status.name: _about(one) for one in await self._volume.list(path)}

    async def source(self, path: str) -> "StoredSource":
        """See `Files.source`."""
        return StoredSource(self._volume, path, await self._volume.load(path))

    def target(self, path: str, like: About) -> "StoredTarget":
        """See `Files.target`."""
        return StoredTarget(self._volume, path, like, self._saved)

    async def make_directory(self, path: str, mode: int) -> None:
        """See `Files.make_directory`."""
        words = path.split("/") if path else []
        for count in range(1, len(words) + 1):
            with contextlib.suppress(FileExistsError):
                await self._volume.make_directory("/".join(words[:count]), mode)


class StoredSource:
    """A file of a volume to be read: its checksums are compared."""

    def __init__(self, volume: Volume, path: str, version: Version) -> None:
        self._path = path
        self._reader = reader_of(volume, version, lambda: path)
        self._about = _about(version.entry)

    @property
    def about(self) -> About:
        """See `Source.about`."""
        return self._about

    async def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`."""
        data = await self._reader.read(offset, length)
        if len(data) != length:
            raise OSError(errno.EIO, "ends early", self._path)
        return bytes(data)


class StoredTarget:
    """A file of a volume to be written."""

    def __init__(self, volume: Volume, path: str, like: About, saved: int) -> None:
        self._volume = volume
        self._path = path
        self._like = like
        self._place = unfinished.place_of_upload(path, like.identity)
        self._layout = volume.settings.layout(path)
        self._manifest = Manifest(self._layout.striping.unit, 0)
        self._writer: SegmentWriter | None = None
        self._small = bytearray()
        self._tail = bytearray()
        self._in_segment = 0
        unit = self._manifest.unit
        least = max(saved, like.size // _SEGMENTS)
        self._segment = -(-least // unit) * unit

    @property
    def _is_small(self) -> bool:
        return self._like.size <= self._layout.small

    async def begin(self) -> int:
        """See `Target.begin`."""
        if not self._is_small:
            found = await unfinished.load(self._volume.store, self._place)
            if found is not None and found.unit == self._manifest.unit:
                self._manifest = found
        return self._manifest.size

    async def add(self, data: bytes) -> None:
        """See `Target.add`."""
        if self._is_small:
            self._small += data
            return
        unit = self._manifest.unit
        self._tail += data
        while len(self._tail) >= unit:
            await self._add_unit(bytes(self._tail[:unit]))
            del self._tail[:unit]
            if self._in_segment >= self._segment and self._layout.striping.stripes > 1:
                await self._end_segment()
                await unfinished.save(self._volume.store, self._place, self._manifest)

    async def finish(self) -> None:
        """See `Target.finish`."""
        content: bytes | Manifest = bytes(self._small)
        if not self._is_small or not self._volume.is_plain(self._path, self._small):
            self._tail += self._small
            if self._tail:
                await self._add_unit(bytes(self._tail))
            await self._end_segment()
            content = self._manifest
        before = await self._present()
        if before is None:
            await self._volume.put(self._path, content, self._like.mode)
        else:
            await self._volume.publish(self._path, content, before)
        await self._volume.store.set_modified(self._path, self._like.modified_ns)
        await unfinished.drop(self._volume.store, self._place)
        if before is not None and before.manifest is not None:
            await self._volume.discard(before.manifest.segments)

    async def abandon(self) -> None:
        """See `Target.abandon`."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.abandon()

    async def _add_unit(self, unit: bytes) -> None:
        await self._begun().add((unit,))
        self._in_segment += len(unit)

    def _begun(self) -> SegmentWriter:
        if self._writer is None:
            self._writer = self._volume.writer(self._path, self._manifest.unit)
        return self._writer

    async def _end_segment(self) -> None:
        writer = self._writer
        if writer is None:
            return
        segment = await writer.finish()
        self._writer = None
        first = -(-self._manifest.size // self._manifest.unit)
        size = self._manifest.size + self._in_segment
        numbers = range(first, first + segment.units)
        self._manifest = spliced(self._manifest, segment, numbers, size)
        self._in_segment = 0

    async def _present(self) -> Version | None:
        """Return what is replaced, if that can be read."""
        try:
            return await self._volume.load(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return None


def _about(entry: Entry) -> About:
    status = entry.status
    return About(status.directory, entry.size, status.mode, status.modified_ns, status.identity)
