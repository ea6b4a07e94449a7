"""A directory of a store as a volume of files, plain or striped, each replaced in one step.

Race-free: one event loop's thread, and nothing here is shared between calls but what says of itself
why that is no race.
"""

import errno
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from bootseer.errors import CorruptError
from bootseer.together import together
from fuse_hdfs.files.contents import Contents
from fuse_hdfs.files.fronts import Fronts, damaged, size_of
from fuse_hdfs.files.held import Holdings
from fuse_hdfs.files.kept import Keep
from fuse_hdfs.files.labels import Kind
from fuse_hdfs.files.names import HIDDEN, segment_directory, visible
from fuse_hdfs.files.replacing import Beside, Replacing
from fuse_hdfs.files.room import Room
from fuse_hdfs.files.runs import Stripe, runs
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.version import Entry, Version
from fuse_hdfs.files.writing import SegmentWriter, Shared
from fuse_hdfs.stores.store import Status, Store
from fuse_hdfs.stores.traffic import Traffic
from fuse_hdfs.striping.layout import Manifest, Segment
from fuse_hdfs.striping.manifest import MAGIC, decode, encode

log = logging.getLogger(__name__)

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
        self.drafted = Room(drafted)
        """For beginnings of units, and small files that are being written."""
        self.stripes = Traffic()
        """By the stripes' numbers."""
        read = settings.cache - held - written - drafted
        self.contents = Contents(store, settings.striping.unit, read, self.stripes)
        """What readers read."""
        self._holdings = Holdings(held)
        self._shared = Shared(store, self.stripes, Room(written), keep, settings.again_s)
        self._fronts = Fronts(store)
        self._replacing = Replacing(store, settings.again_s)

    async def close(self) -> None:
        """Stop what is under way."""
        await self.contents.close()

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
            await self._replacing.create(path, mode)
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

        async def beside() -> Beside:
            like = await self.store.stat(path)
            if like.directory:
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            fresh = version.fresh and like.identity == version.entry.status.identity
            xattrs = {} if fresh else await self._replacing.xattrs(path)
            return Beside(like.mode, (like.uid, like.gid), xattrs, modified_ns)

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

        async def beside() -> Beside:
            return Beside(mode, owner, await self._replacing.xattrs(path), None)

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

    async def _entry(self, path: str, status: Status) -> Entry:
        striped = None if status.directory else await self._fronts.size(path, status)
        return Entry(status, status.size if striped is None else striped, striped is not None)

    async def _load(self, path: str, status: Status) -> Version:
        if status.directory:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if status.size > self.settings.small and await self._fronts.size(path, status) is None:
            return Version(Entry(status, status.size), None)
        data = await self.store.read(path, 0, status.size, of=status) if status.size else b""
        size = size_of(path, data)
        self._fronts.learn(status, size)
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
        beside: Callable[[], Awaitable[Beside]],
        stored: Callable[[], Awaitable[None]],
    ) -> Version:
        """Put a file at a path; see `Replacing.put`."""
        if not isinstance(content, Manifest):
            status = await self._replacing.put(path, content, Kind(None), mode, beside, stored)
            self._fronts.learn(status, None)
            return Version(Entry(status, len(content)), None, self._holdings.hold(content))
        if self.settings.layout(path).striping.stripes == 1:
            await stored()
            stored = _is_stored
            if stripe := await self._alone(content):
                await self._replacing.put_stripe(path, stripe, await beside())
                return await self.load(path)
        kind = Kind(content.size)
        status = await self._replacing.put(path, encode(content), kind, mode, beside, stored)
        self._fronts.learn(status, content.size)
        return Version(Entry(status, content.size, striped=True), content)

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


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
