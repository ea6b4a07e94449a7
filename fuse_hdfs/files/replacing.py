"""One file of the store in the place of another, with all that belongs to it, in one step.

Race-free: no state of its own. Of several that put a file at one place, on any machine, the last
one's stays, whole: the store renames in one step.
"""

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fuse_hdfs.files.labels import Kind, label_of
from fuse_hdfs.files.runs import Stripe
from fuse_hdfs.files.unfinished import remove_unfinished, write_unfinished
from fuse_hdfs.stores.store import Status, Store


@dataclass(frozen=True, slots=True)
class Beside:
    """What belongs to a file beside its contents."""

    mode: int
    owner: tuple[int, int] | None
    """None: who we are."""
    xattrs: dict[str, bytes]
    modified_ns: int | None
    """None: now."""


@dataclass(frozen=True, slots=True)
class Replacing:
    """Writes files elsewhere, and moves them to their places."""

    store: Store
    again_s: float
    """For so long what a lost machine took along is sent again, at least."""

    async def create(self, path: str, mode: int) -> None:
        """Make an empty file; EEXIST if there is something."""
        unfinished = await self._write(b"", mode)
        try:
            await self.store.rename(unfinished, path, replace=False)
        except BaseException:
            await remove_unfinished(self.store, unfinished)
            raise

    async def put(
        self,
        path: str,
        data: bytes,
        kind: Kind,
        mode: int,
        beside: Callable[[], Awaitable[Beside]],
        stored: Callable[[], Awaitable[None]],
    ) -> Status:
        """Put a file of these bytes at a path; return what is there then.

        What takes a store long is done at the same time: stripes are being stored, their manifest
        is written, with the `mode` that we expect, and what is there already is looked at.
        """
        unfinished, wanted = await self._prepared(data, mode, beside, stored)
        try:
            return await self._move(unfinished, path, wanted, label_of(kind, len(data)))
        except BaseException:
            await remove_unfinished(self.store, unfinished)
            raise

    async def put_stripe(self, path: str, stripe: Stripe, beside: Beside) -> None:
        """Let a stripe, all of its segment, be the file at a path."""
        await self._move(stripe.path, path, beside, label_of(Kind(None), stripe.length))
        await self.store.remove_tree(stripe.path.rpartition("/")[0])

    async def xattrs(self, path: str) -> dict[str, bytes]:
        """Return extended attributes; none where there is no such file, or the store has none."""
        try:
            return await self.store.xattrs(path)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTSUP}:
                return {}
            raise

    async def _prepared(
        self,
        data: bytes,
        mode: int,
        beside: Callable[[], Awaitable[Beside]],
        stored: Callable[[], Awaitable[None]],
    ) -> tuple[str, Beside]:
        """Write a file elsewhere; return where, and what is to belong to it."""
        writing = asyncio.ensure_future(self._write(data, mode))
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

    async def _write(self, data: bytes, mode: int) -> str:
        return await write_unfinished(self.store, data, mode, self.again_s)

    async def _move(self, hidden: str, path: str, beside: Beside, label: int) -> Status:
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
