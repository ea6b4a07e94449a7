"""One file that is open on this machine, whoever opened it how often: one state for all of them.

Concurrency: whatever changes the file, or reads it while there are changes, holds the lock. Reads
of a file without changes do not: a version never changes. Publishing replaces the version and
drops the draft without an await between. Whoever uses the file's path holds its name from before
it asks for the path until it is done; who changes the path holds it too (`named`). The name is
always taken last, so that a rename does not wait for the stripes of a large file.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from fuse_hdfs.files.ahead import Ahead
from fuse_hdfs.files.draft import Draft
from fuse_hdfs.files.reading import Found, PlainReader, StripedReader, reader_of
from fuse_hdfs.files.version import Version
from fuse_hdfs.files.volume import Volume

log = logging.getLogger(__name__)


class OpenFile:
    """A file as its readers and writers on this machine share it."""

    def __init__(
        self, volume: Volume, spool: Path, path: Callable[[], str], version: Version
    ) -> None:
        """`path` says where the file is now; it may be renamed while it is open."""
        self._volume = volume
        self._spool = spool
        self._path = path
        self._version = version
        self._reader: StripedReader | PlainReader = reader_of(volume, version, path)
        self._pinned: bytes | None = None
        self._draft: Draft | None = None
        self._lock = asyncio.Lock()
        self._name = asyncio.Lock()
        self._removed = False
        self._forsaken = False
        """Changes are given up with the last close, unless somebody publishes them before."""
        self._modified_ns: int | None = None
        self._set_ns: int | None = None
        """The time of modification that somebody has set since the last write."""

    @property
    def size(self) -> int:
        """Bytes, with all changes."""
        return self._version.size if self._draft is None else self._draft.size

    @property
    def changed(self) -> bool:
        """Whether there are changes that are not published."""
        return self._draft is not None

    @property
    def modified_ns(self) -> int | None:
        """When it was changed, if that is not published yet."""
        return None if self._draft is None else self._modified_ns

    @property
    def version(self) -> Version:
        """What is published."""
        return self._version

    async def read(self, offset: int, length: int, ahead: Ahead | None = None) -> Found:
        """Return bytes; fewer only at the end of the file."""
        if self._draft is not None:
            async with self._lock:
                if self._draft is not None:
                    return await self._draft.read(offset, length)
        content = self._content
        if content is not None:
            return content[offset : offset + length]
        return await self._reader.read(offset, length, ahead)

    async def write(self, offset: int, data: bytes) -> None:
        """Write at any place."""
        async with self._lock:
            await (await self._changing()).write(offset, data)
            self._changed()

    async def append(self, data: bytes) -> int:
        """Write at the end; return where that was."""
        async with self._lock:
            draft = await self._changing()
            offset = draft.size
            await draft.write(offset, data)
            self._changed()
        return offset

    async def resize(self, size: int) -> None:
        """Cut the file, or let it grow by zeros."""
        async with self._lock:
            if size != self.size or self._draft is not None:
                await (await self._changing(truncate=size == 0)).resize(size)
                self._changed()

    async def set_modified(self, modified_ns: int) -> None:
        """Set the time of modification."""
        async with self._lock, self._name:
            if self._draft is not None:
                self._modified_ns = self._set_ns = modified_ns
            elif not self._removed:
                await self._volume.store.set_modified(self._path(), modified_ns)
                await self._look_again()

    async def refresh(self) -> None:
        """Take note that mode, owner or path of the file were changed by us."""
        async with self._lock, self._name:
            if not self._removed:
                await self._look_again()

    async def renew(self) -> None:
        """Take over what somebody else has published under the file's name since it was opened.

        Who had it open here reads that too from then on: what he had may be gone. Changes of our
        own stay, and will replace it.
        """
        if self._draft is not None:  # do not wait for it to be published
            return
        async with self._lock, self._name:
            if self._draft is not None or self._removed:
                return
            path, known = self._path(), self._version.entry.status.identity
            if (await self._volume.stat(path)).status.identity != known:
                self._adopt(await self._volume.load(path))

    @contextlib.asynccontextmanager
    async def named(self) -> AsyncIterator[None]:
        """Hold the file's name while that changes: nothing is done under the old one any more."""
        async with self._name:
            yield

    @contextlib.asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """Hold the file while what is kept beside its contents is changed: mode, owner ...

        Nothing is published meanwhile: that would take them from before.
        """
        async with self._lock, self._name:
            yield
            if not self._removed:
                await self._look_again()

    async def flush(self) -> None:
        """Publish all changes; they survive a crash once this returns.

        OSError if that fails; the changes are still there then, and may be published later.
        """
        async with self._lock:
            if self._draft is not None and not self._removed:
                await self._publish(self._draft)

    def forsake(self) -> None:
        """Take note that who made the changes died before he had made all of them."""
        self._forsaken = True
        log.warning("file.forsaken", extra={"fields": {"path": self._path()}})

    @contextlib.asynccontextmanager
    async def leaving(self, *, keep: bool = True) -> AsyncIterator[None]:
        """Hold the file; inside, its name is taken away. If that fails it stays as it was.

        `keep`: what only the name leads to is kept in memory. Nothing is published meanwhile: it
        would bring the name back, or differ from what is kept.
        """
        async with self._lock:
            plain = self._version.manifest is None and self._content is None
            if keep and plain and self._version.size <= self._volume.settings.small:
                self._pinned = bytes(await self._reader.read(0, self._version.size))
            try:
                yield
            except BaseException:
                self._pinned = None
                raise
            self._removed = True

    async def close(self) -> bool:
        """Let go of the file: publish what was not, or remove what nobody can reach any more.

        Says whether the file is now what its readers here saw last: no changes were lost.
        """
        async with self._lock:
            if self._draft is not None and not self._removed and not self._forsaken:
                await self._publish_at_last(self._draft)
            draft, self._draft = self._draft, None
            if draft is not None:
                await draft.abandon()
            if self._removed and self._version.manifest is not None:
                await self._volume.discard(self._version.manifest.segments)
        return draft is None

    async def abandon(self) -> None:
        """Give up what was not published."""
        async with self._lock:
            draft, self._draft = self._draft, None
            if draft is not None:
                await draft.abandon()

    async def _publish_at_last(self, draft: Draft) -> None:
        """Publish what no flush published; nobody is there any more to be told that it failed."""
        try:
            await self._publish(draft)
        except OSError as error:
            fields = {"path": self._path(), "reason": str(error)}
            log.error("file.lost_changes", extra={"fields": fields})

    async def _changing(self, *, truncate: bool = False) -> Draft:
        """Return the draft, begun if there is none. The lock is held."""
        if self._draft is None:
            draft = Draft(self._volume, self._spool, self._path, self._version)
            try:
                await draft.open(truncate=truncate, content=self._content)
            except BaseException:
                await draft.abandon()
                raise
            self._draft = draft
        return self._draft

    async def _publish(self, draft: Draft) -> None:
        content = await draft.publish()
        async with self._name:
            path = self._path()
            version = await self._volume.publish(
                path, content, self._version, self._set_ns, draft.stored
            )
        unused = draft.published()
        self._adopt(version)
        self._draft = self._set_ns = None
        self._forsaken = False
        await self._volume.discard(unused)

    @property
    def _content(self) -> bytes | None:
        """All of a small plain file, if it is in memory."""
        held = self._version.held
        return self._pinned if held is None else held.data

    def _changed(self) -> None:
        self._modified_ns, self._set_ns = time.time_ns(), None

    async def _look_again(self) -> None:
        """Take over what is there now beside the contents. The name is held."""
        entry = await self._volume.stat(self._path())
        if entry.size == self._version.size:
            self._adopt(replace(self._version, entry=entry, fresh=False))

    def _adopt(self, version: Version) -> None:
        self._version = version
        self._reader = reader_of(self._volume, version, self._path)
