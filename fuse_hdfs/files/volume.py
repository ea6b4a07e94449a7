"""A directory of a store as a volume of files, plain or striped, each replaced in one step.

Race-free: one event loop's thread. What is shared between calls is a cache of the fronts of
manifests by identity, which never change, and the unit cache. Of several that publish under one
name, on any machine, the last one's file stays, whole: the store renames in one step.
"""

import asyncio
import contextlib
import errno
import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache

from bootseer.errors import CorruptError, first_error
from bootseer.together import together
from fuse_hdfs import limits
from fuse_hdfs.checksums import crc32c
from fuse_hdfs.files.copies import Copies
from fuse_hdfs.files.names import HIDDEN, UNFINISHED, segment_directory, stripe_path
from fuse_hdfs.files.units import Key, UnitCache
from fuse_hdfs.files.writing import SegmentWriter, Striping
from fuse_hdfs.stores.store import Status, Store
from fuse_hdfs.striping.layout import Manifest, Place, Segment
from fuse_hdfs.striping.manifest import FRONT, MAGIC, decode, encode, size_in_front

log = logging.getLogger(__name__)

_FRONTS: Final = 100_000
_AT_ONCE: Final = 32
"""Calls on small things that are under way at the same time."""
_ATTEMPTS: Final = 2
"""Times that a unit with a wrong checksum is read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory of a volume."""

    status: Status
    """Of the directory, the plain file or the manifest."""
    size: int
    """Bytes of the file as its readers see it."""
    striped: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a file, all of it. It never changes."""

    entry: Entry
    manifest: Manifest | None
    """None: a plain file."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.entry.size


@dataclass(frozen=True, slots=True)
class Settings:
    """How a volume's files are written and read."""

    striping: Striping = field(default_factory=Striping)
    small: int = 4 << 20
    """Bytes up to which a file stays plain."""
    cache: int = 256 << 20
    """Bytes of units that are in memory, for all files together."""
    ahead: int = 64 << 20
    """Most bytes ahead of one sequential reader."""


class Volume:
    """Files of a store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.units = UnitCache(settings.cache)
        self._copies = Copies(store)
        self._sizes: LRUCache[str, int | None] = LRUCache(_FRONTS)

    async def close(self) -> None:
        """Stop what is under way."""
        await self.units.close()
        await self._copies.close()

    async def stat(self, path: str) -> Entry:
        """Return what is at a path. OSError: as stat(2); EIO: its manifest is damaged."""
        visible(path)
        return await self._entry(path, await self.store.stat(path))

    async def list(self, path: str) -> list[Entry]:
        """Return what a directory holds. A file whose manifest is damaged has size 0."""
        visible(path)

        async def entry(status: Status) -> Entry:
            try:
                return await self._entry(_join(path, status.name), status)
            except OSError:
                return Entry(status, 0)

        found = [s for s in await self.store.list(path) if path or s.name != HIDDEN]
        return await together(entry, found, _AT_ONCE)

    async def load(self, path: str) -> Version:
        """Return the present state of a file.

        OSError: as open(2); EIO: its manifest is damaged, or names stripes of no file.
        """
        entry = await self.stat(path)
        if entry.status.directory:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not entry.striped:
            return Version(entry, None)
        data = await self.store.read(path, 0, limits.MANIFEST + 1)
        try:
            manifest = decode(data)
        except CorruptError as error:
            raise damaged(path, error) from error
        return Version(Entry(entry.status, manifest.size, striped=True), manifest)

    async def create(self, path: str, mode: int, owner: tuple[int, int] | None = None) -> Version:
        """Make an empty file, of this process' user or of `owner`; EEXIST if there is one."""
        visible(path)
        await self._put(path, b"", mode, replace=False)
        if owner is not None:
            await self.store.give(path, *owner)
        return await self.load(path)

    async def publish(self, path: str, content: bytes | Manifest, like: Status) -> Version:
        """Replace the file at `path` in one step, keeping mode and owner of `like`.

        Its extended attributes stay too.

        Readers that open it see the old contents or the new ones. It survives a crash once this
        returns.
        """
        return await self.put(path, content, like.mode, (like.uid, like.gid))

    async def put(
        self,
        path: str,
        content: bytes | Manifest,
        mode: int,
        owner: tuple[int, int] | None = None,
    ) -> Version:
        """Write a file in one step, over what is there; see `publish`. `owner`: who we are."""
        visible(path)
        data = encode(content) if isinstance(content, Manifest) else content
        await self._put(path, data, mode, replace=True, owner=owner)
        return await self.load(path)

    async def make_directory(self, path: str, mode: int) -> None:
        """Make a directory; EEXIST, ENOENT as mkdir(2)."""
        visible(path)
        await self.store.make_directory(path, mode)

    def is_plain(self, content: bytes | bytearray) -> bool:
        """Say whether a file of these contents may be kept plain: it looks like no manifest."""
        return len(content) <= self.settings.small and content[:8] != MAGIC

    def writer(self, unit: int | None = None) -> SegmentWriter:
        """Return a writer of a new segment, in units of `unit` bytes or those of the settings."""
        striping = self.settings.striping
        if unit is not None:
            striping = Striping(unit, striping.stripes, striping.queue)
        return SegmentWriter(self.store, striping)

    async def remove(self, path: str) -> None:
        """Remove a file's name. Its segments stay, for those who read it: see `discard`."""
        visible(path)
        await self.store.remove(path)

    async def discard(self, segments: Iterable[Segment]) -> None:
        """Remove segments that no manifest names any more. What fails stays, as an orphan."""

        async def remove(segment: Segment) -> None:
            try:
                await self.store.remove_tree(segment_directory(segment.id))
            except OSError as error:
                fields = {"segment": segment.id, "reason": str(error)}
                log.warning("segment.left", extra={"fields": fields})

        await together(remove, segments, _AT_ONCE)

    async def unit(self, place: Place) -> bytes:
        """Return a unit of a segment; OSError with EIO if its bytes are wrong."""
        key = (place.segment.id, place.index)
        return await self.units.get(key, place.length, lambda: self._fetch(place))

    def bring(self, place: Place) -> bool:
        """Begin to fetch a unit; see `UnitCache.bring`."""
        key = (place.segment.id, place.index)
        return self.units.bring(key, place.length, lambda: self._fetch(place))

    async def plain_unit(self, path: str, version: Version, number: int) -> bytes:
        """Return a stretch of a plain file; OSError with ESTALE if it is another file by now."""
        key, size = self._plain(version, number)
        return await self.units.get(key, size, lambda: self._fetch_plain(path, version, number))

    def bring_plain(self, path: str, version: Version, number: int) -> bool:
        """Begin to fetch a stretch of a plain file; see `UnitCache.bring`."""
        key, size = self._plain(version, number)
        return self.units.bring(key, size, lambda: self._fetch_plain(path, version, number))

    def _plain(self, version: Version, number: int) -> tuple[Key, int]:
        unit = self.settings.striping.unit
        return (version.entry.status.identity, number), min(unit, version.size - number * unit)

    async def _fetch_plain(self, path: str, version: Version, number: int) -> bytes:
        (identity, _), size = self._plain(version, number)
        offset = number * self.settings.striping.unit
        several = version.size > self.settings.striping.unit
        place = await self._copies.place(path, identity, offset, number) if several else None
        data = await self.store.read(path, offset, size, place=place)
        # Nothing but its path names a plain file: somebody may have put another one there.
        now = await self.store.stat(path)
        if now.identity != identity:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        if len(data) != size:
            raise OSError(errno.EIO, "ends early", path)
        return data

    async def _fetch(self, place: Place) -> bytes:
        path = stripe_path(place.segment.id, place.stripe)
        for _ in range(_ATTEMPTS):
            data = await self.store.read(path, place.offset, place.length)
            if len(data) == place.length and crc32c(data) == place.segment.checksum(place.index):
                return data
            fields = {"stripe": path, "offset": place.offset, "bytes": len(data)}
            log.error("unit.damaged", extra={"fields": fields})
        raise OSError(errno.EIO, "damaged", path)

    async def _entry(self, path: str, status: Status) -> Entry:
        striped = None if status.directory else await self._striped_size(path, status)
        return Entry(status, status.size if striped is None else striped, striped is not None)

    async def _striped_size(self, path: str, status: Status) -> int | None:
        """Look at the front of a file, once for each identity; None if it is plain."""
        if not FRONT <= status.size <= limits.MANIFEST:
            return None
        if status.identity not in self._sizes:
            try:
                size = size_in_front(await self.store.read(path, 0, FRONT))
            except CorruptError as error:
                raise damaged(path, error) from error
            self._sizes[status.identity] = size
            return size
        return self._sizes[status.identity]

    async def _put(
        self,
        path: str,
        data: bytes,
        mode: int,
        *,
        replace: bool,
        owner: tuple[int, int] | None = None,
    ) -> None:
        unfinished = f"{UNFINISHED}/{secrets.token_hex(16)}"

        async def content() -> AsyncIterator[bytes]:
            if data:
                yield data

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.store.write(unfinished, content()))
                kept = group.create_task(self._xattrs(path)) if replace else None
            for name, value in (kept.result() if kept is not None else {}).items():
                await self.store.set_xattr(unfinished, name, value)
            made = await self.store.stat(unfinished)
            if made.mode != mode:
                await self.store.set_mode(unfinished, mode)
            if owner is not None and owner != (made.uid, made.gid):
                with contextlib.suppress(PermissionError):  # then it is ours, as its writer's
                    await self.store.set_owner(unfinished, *owner)
            await self.store.rename(unfinished, path, replace=replace)
        except BaseException as error:
            await _try_to(self.store.remove(unfinished))
            if isinstance(error, BaseExceptionGroup):
                raise first_error(error) from error
            raise

    async def _xattrs(self, path: str) -> dict[str, bytes]:
        """Return extended attributes; none where there is no such file, or the store has none."""
        try:
            return await self.store.xattrs(path)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTSUP}:
                return {}
            raise


async def _try_to(work: Awaitable[None]) -> None:
    """Clean up after a failure, which is what is raised."""
    try:
        async with asyncio.timeout(10):
            await work
    except (OSError, TimeoutError) as error:
        log.debug("cleanup.failed", extra={"fields": {"reason": str(error)}})


def visible(path: str) -> None:
    """Refuse paths into what is not the user's. OSError with EACCES."""
    if path == HIDDEN or path.startswith(f"{HIDDEN}/"):
        raise OSError(errno.EACCES, "is not part of the mount", path)


def damaged(path: str, error: CorruptError) -> OSError:
    """Return the I/O error for a damaged file, and log what is wrong with it."""
    log.error("file.damaged", extra={"fields": {"path": path, "reason": error.message}})
    return OSError(errno.EIO, error.message, path)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
