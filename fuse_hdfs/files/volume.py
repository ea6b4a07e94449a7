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
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from cachetools import LRUCache

from bootseer.errors import CorruptError
from bootseer.together import together
from fuse_hdfs import limits
from fuse_hdfs.checksums import crc32c
from fuse_hdfs.files.copies import Copies
from fuse_hdfs.files.hedging import Hedging
from fuse_hdfs.files.held import Held, Holdings
from fuse_hdfs.files.kept import Keep
from fuse_hdfs.files.labels import Kind, kind_in, label_of
from fuse_hdfs.files.names import HIDDEN, segment_directory, stripe_path
from fuse_hdfs.files.room import Room
from fuse_hdfs.files.rules import Layout, Rule, layout_of
from fuse_hdfs.files.runs import Stripe, runs
from fuse_hdfs.files.stripes import Stripes
from fuse_hdfs.files.unfinished import remove_unfinished, write_unfinished
from fuse_hdfs.files.units import Key, UnitCache
from fuse_hdfs.files.writing import SegmentWriter, Shared, Striping
from fuse_hdfs.stores.store import Status, Store
from fuse_hdfs.stores.traffic import Direction, Traffic
from fuse_hdfs.striping.layout import Manifest, Place, Segment
from fuse_hdfs.striping.manifest import FRONT, MAGIC, decode, encode, size_in_front

log = logging.getLogger(__name__)

_FRONTS: Final = 100_000
_AT_ONCE: Final = 32
"""Calls on small things that are under way at the same time."""
_HELD: Final = 8
"""One part in so many of a volume's memory is for the contents of small files that are open."""
_WRITTEN: Final = 4
"""The same for units that are on their way to the store."""
_DRAFTED: Final = 8
"""The same for what does not fill a unit yet; what is left is for reading."""
_REPLACED: Final = 5
"""Times that a file may be replaced between two looks at it."""
_DOUBTFUL: Final = frozenset({errno.ETIMEDOUT, errno.EIO})
"""Errors of calls that may have been heard all the same."""
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
    held: Held | None = None
    """All of a small plain file, as long as there is room for that."""
    fresh: bool = False
    """We made it, empty, and nothing has been done to it since."""

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
    """Bytes of files that are in memory, of all files together."""
    ahead: int = 64 << 20
    """Most bytes ahead of one sequential reader."""
    rules: tuple[Rule, ...] = ()
    """Other layouts, for some files."""
    again_s: float = 90.0
    """For so long what a lost machine took along is sent again, at least."""

    def layout(self, path: str) -> Layout:
        """Return how a file is laid out when it is written."""
        return layout_of(path, self.rules, Layout(self.striping, self.small))


async def _is_stored() -> None:
    """Wait for nothing."""


class Volume:
    """Files of a store."""

    def __init__(self, store: Store, settings: Settings, keep: Keep | None = None) -> None:
        """`keep`: where stripes are kept until they are stored, to be sent again."""
        self.store = store
        self.settings = settings
        held, written = settings.cache // _HELD, settings.cache // _WRITTEN
        drafted = settings.cache // _DRAFTED
        self.units = UnitCache(settings.cache - held - written - drafted)
        self.drafted = Room(drafted)
        """For beginnings of units, and small files that are being written."""
        self.stripes = Traffic()
        """By the stripes' numbers."""
        self._holdings = Holdings(held)
        self._shared = Shared(store, self.stripes, Room(written), keep, settings.again_s)
        self._copies = Copies(store)
        self._stripes = Stripes(store, self._copies)
        self._sizes: LRUCache[str, int | None] = LRUCache(_FRONTS)

    async def close(self) -> None:
        """Stop what is under way."""
        await self.units.close()
        await self._stripes.close()
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
        visible(path)
        for _ in range(_REPLACED):
            try:
                return await self._load(path, await self.store.stat(path))
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
        raise OSError(errno.EBUSY, "is replaced again and again", path)

    async def create(self, path: str, mode: int, owner: tuple[int, int] | None = None) -> Version:
        """Make an empty file, of this process' user or of `owner`; EEXIST if there is one.

        It is made elsewhere and moved where the machine that was to make it is lost; EEXIST as well
        if that makes it after all.
        """
        visible(path)
        try:
            await self.store.write(path, b"", mode=mode, parents=False)
        except OSError as error:
            if error.errno not in _DOUBTFUL:
                raise
            await self._create_beside(path, mode)
        if owner is not None:
            await self.store.give(path, *owner)
        entry = await self.stat(path)
        if entry.size:  # another has published there already
            return await self.load(path)
        return Version(entry, None, self._holdings.hold(b""), fresh=True)

    async def publish(
        self,
        path: str,
        content: bytes | Manifest,
        version: Version,
        modified_ns: int | None = None,
        stored: Callable[[], Awaitable[None]] = _is_stored,
    ) -> Version:
        """Replace the file at `path`, of which we know `version`, in one step; return the new one.

        Mode, owner and extended attributes stay as they are there now; so the file must be there.
        `modified_ns`: its time, if that was set. `stored` returns once all stripes of `content`
        survive a crash, and is waited for in any case. Readers that open the file see the old
        contents or the new ones. It survives a crash once this returns.
        """
        visible(path)

        async def beside() -> _Beside:
            like = await self.store.stat(path)
            if like.directory:
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            fresh = version.fresh and like.identity == version.entry.status.identity
            xattrs = {} if fresh else await self._xattrs(path)
            return _Beside(like.mode, (like.uid, like.gid), xattrs, modified_ns)

        return await self._put(path, content, version.entry.status.mode, beside, stored)

    async def put(
        self,
        path: str,
        content: bytes | Manifest,
        mode: int,
        owner: tuple[int, int] | None = None,
    ) -> Version:
        """Write a file in one step, over what may be there; `owner`: or who we are."""
        visible(path)

        async def beside() -> _Beside:
            return _Beside(mode, owner, await self._xattrs(path), None)

        return await self._put(path, content, mode, beside, _is_stored)

    async def make_directory(self, path: str, mode: int) -> None:
        """Make a directory; EEXIST, ENOENT as mkdir(2)."""
        visible(path)
        await self.store.make_directory(path, mode)

    def is_plain(self, path: str, content: bytes | bytearray) -> bool:
        """Say whether a file of these contents may be kept plain: it looks like no manifest."""
        return len(content) <= self.settings.layout(path).small and content[:8] != MAGIC

    def writer(self, path: str, unit: int | None = None) -> SegmentWriter:
        """Return a writer of a new segment of a file, in units of `unit` bytes or as its layout is.

        `path`: what the file's layout is found by.
        """
        striping = self.settings.layout(path).striping
        striping = replace(striping, unit=unit or striping.unit)
        return SegmentWriter(self._shared, striping)

    @property
    def hedging(self) -> Hedging:
        """How often a second copy was asked."""
        return self._stripes.hedging

    async def remove(self, path: str) -> None:
        """Remove a file's name. Its segments stay, for those who read it: see `discard`."""
        visible(path)
        try:
            await self.store.remove(path)
        except OSError as error:
            if error.errno not in _DOUBTFUL or await self._may_be_there(path):
                raise

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

    def kept(self, place: Place) -> bytes | None:
        """Return a unit of a segment; None if it has to be waited for."""
        return self.units.kept((place.segment.id, place.index))

    def bring(self, place: Place) -> bool:
        """Begin to fetch a unit; see `UnitCache.bring`."""
        key = (place.segment.id, place.index)
        return self.units.bring(key, place.length, lambda: self._fetch(place, ahead=True))

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
        # Nothing but its path names a plain file: somebody may have put another one there.
        (identity, _), size = self._plain(version, number)
        offset = number * self.settings.striping.unit
        several = version.size > self.settings.striping.unit
        place = await self._copies.place(path, identity, offset, number) if several else None
        status = version.entry.status
        data = await self.store.read(path, offset, size, of=status, place=place)
        if len(data) != size:
            raise OSError(errno.EIO, "ends early", path)
        return data

    async def _fetch(self, place: Place, *, ahead: bool = False) -> bytes:
        path = stripe_path(place.segment.id, place.stripe)
        for attempt in range(_ATTEMPTS):
            follow = ahead and not attempt
            try:
                with self.stripes.call(str(place.stripe), Direction.READ) as call:
                    data = await self._stripes.read(path, place.offset, place.length, follow=follow)
                    call.bytes = len(data)
            except FileNotFoundError:
                log.error("stripe.missing", extra={"fields": {"stripe": path}})
                raise OSError(errno.EIO, "a stripe is missing", path) from None
            if len(data) == place.length and crc32c(data) == place.segment.checksum(place.index):
                return data
            fields = {"stripe": path, "offset": place.offset, "bytes": len(data)}
            log.error("unit.damaged", extra={"fields": fields})
        raise OSError(errno.EIO, "damaged", path)

    async def _entry(self, path: str, status: Status) -> Entry:
        striped = None if status.directory else await self._striped_size(path, status)
        return Entry(status, status.size if striped is None else striped, striped is not None)

    async def _striped_size(self, path: str, status: Status) -> int | None:
        """Return the size of a striped file; None if it is plain.

        What its label does not say is looked up in its front, once for each identity.
        """
        if not FRONT <= status.size <= limits.MANIFEST:
            return None
        if status.identity not in self._sizes:
            kind = kind_in(status.label, status.size)
            if kind is None:
                front = await self.store.read(path, 0, FRONT, of=status)
                kind = Kind(_size(path, front))
            self._sizes[status.identity] = kind.size
        return self._sizes[status.identity]

    async def _load(self, path: str, status: Status) -> Version:
        if status.directory:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if status.size > self.settings.small and await self._striped_size(path, status) is None:
            return Version(Entry(status, status.size), None)
        data = await self.store.read(path, 0, status.size, of=status) if status.size else b""
        size = _size(path, data)
        self._sizes[status.identity] = size
        if size is None:
            if len(data) != status.size:
                raise OSError(errno.EIO, "ends early", path)
            return Version(Entry(status, status.size), None, self._holdings.hold(data))
        try:
            manifest = decode(data)
        except CorruptError as error:
            raise damaged(path, error) from error
        return Version(Entry(status, manifest.size, striped=True), manifest)

    async def _put(
        self,
        path: str,
        content: bytes | Manifest,
        mode: int,
        beside: Callable[[], Awaitable["_Beside"]],
        stored: Callable[[], Awaitable[None]],
    ) -> Version:
        """Write a file elsewhere, with all that belongs to it, and move it to its place.

        What takes a store long is done at the same time: stripes are being stored, their manifest
        is written, with the `mode` that we expect, and what is there already is looked at.
        """
        if isinstance(content, Manifest) and self.settings.layout(path).striping.stripes == 1:
            await stored()
            stored = _is_stored
            if stripe := await self._alone(content):
                return await self._put_stripe(path, stripe, await beside())
        manifest = content if isinstance(content, Manifest) else None
        data = encode(content) if isinstance(content, Manifest) else content
        label = label_of(Kind(None if manifest is None else manifest.size), len(data))
        unfinished, wanted = await self._prepared(data, mode, beside, stored)
        try:
            status = await self._move(unfinished, path, wanted, label)
        except BaseException:
            await remove_unfinished(self.store, unfinished)
            raise
        self._sizes[status.identity] = None if manifest is None else manifest.size
        if manifest is not None:
            return Version(Entry(status, manifest.size, striped=True), manifest)
        return Version(Entry(status, len(data)), None, self._holdings.hold(data))

    async def _create_beside(self, path: str, mode: int) -> None:
        unfinished = await self._write_unfinished(b"", mode)
        try:
            await self.store.rename(unfinished, path, replace=False)
        except BaseException:
            await remove_unfinished(self.store, unfinished)
            raise

    async def _prepared(
        self,
        data: bytes,
        mode: int,
        beside: Callable[[], Awaitable["_Beside"]],
        stored: Callable[[], Awaitable[None]],
    ) -> tuple[str, "_Beside"]:
        """Write a file elsewhere; return where, and what is to belong to it."""
        writing = asyncio.ensure_future(self._write_unfinished(data, mode))
        looking, storing = asyncio.ensure_future(beside()), asyncio.ensure_future(stored())
        try:
            await asyncio.gather(writing, looking, storing)
        except BaseException:
            # Stripes are stored or lost, also where something else fails: their draft knows.
            looking.cancel()
            await asyncio.gather(writing, looking, storing, return_exceptions=True)
            if not writing.cancelled() and writing.exception() is None:
                await remove_unfinished(self.store, writing.result())
            raise
        return writing.result(), looking.result()

    async def _write_unfinished(self, data: bytes, mode: int) -> str:
        return await write_unfinished(self.store, data, mode, self.settings.again_s)

    async def _put_stripe(self, path: str, stripe: Stripe, beside: "_Beside") -> Version:
        """Let a stripe be the file."""
        await self._move(stripe.path, path, beside, label_of(Kind(None), stripe.length))
        await self.store.remove_tree(stripe.path.rpartition("/")[0])
        return await self.load(path)

    async def _move(self, hidden: str, path: str, beside: "_Beside", label: int) -> Status:
        """Move a whole file of the store to its place, with all that is kept beside its contents.

        If that fails it stays where it is.
        """
        made = await self.store.stat(hidden)
        changed = made.mode != beside.mode
        if changed:
            await self.store.set_mode(hidden, beside.mode)
        for name, value in beside.xattrs.items():
            await self.store.set_xattr(hidden, name, value)
        if label:
            await self.store.set_label(hidden, label)
        if beside.owner is not None and beside.owner != (made.uid, made.gid):
            with contextlib.suppress(PermissionError):  # then it is ours, as its writer's
                await self.store.set_owner(hidden, *beside.owner)
                changed = True
        if beside.modified_ns is not None:
            await self.store.set_modified(hidden, beside.modified_ns)
            changed = True
        return await self.store.put_in_place(hidden, path, None if changed else made)

    async def _alone(self, manifest: Manifest) -> Stripe | None:
        """Return the stripe that is all of a file and can be that, as a plain one."""
        found = runs(manifest)
        if isinstance(found, str) or len(found) > 1:
            return None
        looks_striped = await self.store.read(found[0].path, 0, len(MAGIC)) == MAGIC
        return None if looks_striped else found[0]

    async def _may_be_there(self, path: str) -> bool:
        """Say whether something may be at a path; False only if the store says that nothing is."""
        try:
            await self.store.stat(path)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    async def _xattrs(self, path: str) -> dict[str, bytes]:
        """Return extended attributes; none where there is no such file, or the store has none."""
        try:
            return await self.store.xattrs(path)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTSUP}:
                return {}
            raise


@dataclass(frozen=True, slots=True)
class _Beside:
    """What belongs to a file beside its contents."""

    mode: int
    owner: tuple[int, int] | None
    """None: who we are."""
    xattrs: dict[str, bytes]
    modified_ns: int | None
    """None: now."""


def _size(path: str, front: bytes) -> int | None:
    """Return the size of the striped file whose manifest begins so; None: a plain file's bytes."""
    try:
        return size_in_front(front)
    except CorruptError as error:
        raise damaged(path, error) from error


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
