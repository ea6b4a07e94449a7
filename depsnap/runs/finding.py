"""What the store has for a step."""

import contextlib
import time
from dataclasses import dataclass

from bootseer.errors import BootseerError, CorruptError, NotFoundError
from depsnap.key.compose import Composed
from depsnap.runs.outcome import Say
from depsnap.runs.settings import Job
from depsnap.snapshots.library import Library, Stored, is_use_noted
from depsnap.snapshots.places import open_store
from depsnap.tree.entries import Tree
from depsnap.waiting import wait_for_result


@dataclass(frozen=True, slots=True)
class Found:
    """What the store has for a key."""

    stored: Stored
    tree: Tree | None
    """None: it was not read, because this node has kept what it is of."""

    @property
    def stale(self) -> bool:
        """Whether the command should be run again, to see what it installs by now."""
        until = self.stored.head.fresh_until
        return until is not None and time.time() >= until


def find(
    job: Job, composed: Composed, say: Say, *, repair: bool, kept: bool = False
) -> Found | None:
    """Return what the store has; with `repair`, what is damaged there is removed.

    With `kept` the tree is left out where this node has kept a copy.

    Raises:
        BootseerError: the store fails.
    """

    async def work() -> Found | None:
        async with open_store(job.settings.store) as store:
            return await find_in(Library(store), job, composed, say, repair=repair, kept=kept)

    return wait_for_result(work())


def tree_of(job: Job, found: Found) -> Tree:
    """Return the tree of a snapshot.

    Raises:
        BootseerError: it cannot be read.
    """
    if found.tree is not None:
        return found.tree

    async def work() -> Tree:
        async with open_store(job.settings.store) as store:
            return await Library(store).tree(found.stored.head)

    return wait_for_result(work())


def note_use(job: Job, found: Found) -> None:
    """Note in the store that a snapshot is used, where that is not known anyway."""
    if not is_use_noted(found.stored.head, time.time()):
        return

    async def work() -> None:
        async with open_store(job.settings.store) as store:
            await Library(store).note_use(found.stored, time.time())

    with contextlib.suppress(BootseerError):
        wait_for_result(work())


def drop(job: Job, found: Found, say: Say) -> None:
    """Remove what is damaged of a snapshot, so that it can be stored anew."""

    async def work() -> None:
        async with open_store(job.settings.store) as store:
            await _drop(Library(store), found.stored)

    try:
        wait_for_result(work())
    except BootseerError as error:
        say(f"it stays in the store: {error}")


async def find_in(
    library: Library, job: Job, composed: Composed, say: Say, *, repair: bool, kept: bool
) -> Found | None:
    """Do what `find` does, in a store that is open."""
    pinned = job.settings.digest
    stored = await library.newest(job.name, composed.key, pinned)
    if stored is None:
        if pinned:
            say(f"there is no snapshot {pinned[:12]}, which --digest names, for this key")
        return None
    cache = job.settings.tree_cache
    if kept and cache is not None and cache.has(stored.digest):
        return Found(stored, None)
    try:
        return Found(stored, await library.tree(stored.head))
    except (CorruptError, NotFoundError) as error:
        say(f"the snapshot cannot be read: {error}")
        if repair:
            await _drop(library, stored)
        return None


async def _drop(library: Library, stored: Stored) -> None:
    from depsnap.snapshots.verifying import drop_damaged  # noqa: PLC0415 (a hit does without)

    await drop_damaged(library, stored)
