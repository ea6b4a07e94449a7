"""What the store has for a step; and where it has nothing, who of several nodes makes it."""

import secrets
import time
from dataclasses import dataclass
from typing import Final

from bootseer.errors import BootseerError, CorruptError, NotFoundError
from depsnap.key.compose import Composed
from depsnap.key.explain import explain
from depsnap.leases.clock import MonotonicClock
from depsnap.leases.lease import Lease, Waited, Waiting, wait_or_lead
from depsnap.leases.terms import Doing, Patience
from depsnap.runs.outcome import Say
from depsnap.runs.settings import Job
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.names import LEASES
from depsnap.snapshots.places import Place, open_store
from depsnap.snapshots.verifying import drop_damaged
from depsnap.tree.entries import Tree
from depsnap.waiting import wait_for_result

_KEEPING: Final = 10.0
"""How much longer than while it runs the command a node may be silent while it packs."""
_SLACK_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Found:
    """What the store has for a key."""

    stored: Stored
    tree: Tree

    @property
    def stale(self) -> bool:
        """Whether the command should be run again, to see what it installs by now."""
        until = self.stored.head.fresh_until
        return until is not None and time.time() >= until


def find(job: Job, composed: Composed, say: Say, *, repair: bool) -> Found | None:
    """Return what the store has; with `repair`, what is damaged there is removed.

    Raises:
        BootseerError: the store fails.
    """

    async def work() -> Found | None:
        async with open_store(job.settings.store) as store:
            return await _find(Library(store), job, composed, say, repair=repair)

    return wait_for_result(work())


def find_or_lead(job: Job, composed: Composed, say: Say, old: Found | None) -> Waited[Found]:
    """Wait for another node's snapshot, or get the lease after which to make it here.

    With an old snapshot at hand nobody waits: who gets the lease makes the new one.

    Raises:
        BootseerError: the store fails.
    """

    async def work() -> Waited[Found]:
        async with open_store(job.settings.store) as store:
            library = Library(store)
            how = Waiting(
                f"{LEASES}/{job.name}/{composed.key}",
                secrets.token_hex(8),
                0.0 if old else await _most(library, job),
                Patience(job.settings.silence, job.settings.silence * _KEEPING),
            )

            async def look() -> Found | None:
                found = await _find(library, job, composed, _silent, repair=False)
                return None if found is None or found.stale else found

            return await wait_or_lead(store, look, how, MonotonicClock(), say)

    return wait_for_result(work())


def explain_miss(job: Job, composed: Composed, say: Say) -> None:
    """Say what differs from the snapshot of that name that was made last.

    Raises:
        BootseerError: the store fails.
    """

    async def work() -> Stored | None:
        async with open_store(job.settings.store) as store:
            return await Library(store).latest_of(job.name)

    latest = wait_for_result(work())
    say(f"no snapshot of {job.name} for key {composed.key[:12]}")
    for line in explain(latest.head.ingredients, composed.ingredients) if latest else ():
        say(f"  {line}")


def drop(job: Job, found: Found, say: Say) -> None:
    """Remove what is damaged of a snapshot, so that it can be stored anew."""

    async def work() -> None:
        async with open_store(job.settings.store) as store:
            await drop_damaged(Library(store), found.stored)

    try:
        wait_for_result(work())
    except BootseerError as error:
        say(f"it stays in the store: {error}")


@dataclass(frozen=True, slots=True)
class Held:
    """A lease, from code that is not async and opens the store for each call anew."""

    place: Place
    lease: Lease

    def beat(self, doing: Doing = Doing.RUNNING) -> None:
        """Show that we live."""
        self._do(release=False, doing=doing)

    def release(self) -> None:
        """Give it back."""
        self._do(release=True)

    def _do(self, *, release: bool, doing: Doing = Doing.RUNNING) -> None:
        async def work() -> None:
            async with open_store(self.place) as store:
                self.lease.store = store
                await (self.lease.release() if release else self.lease.beat(doing))

        wait_for_result(work())


async def _find(
    library: Library, job: Job, composed: Composed, say: Say, *, repair: bool
) -> Found | None:
    stored = await library.newest(job.name, composed.key)
    if stored is None:
        return None
    try:
        return Found(stored, await library.tree(stored.head))
    except (CorruptError, NotFoundError) as error:
        say(f"the snapshot cannot be read: {error}")
        if repair:
            await drop_damaged(library, stored)
        return None


async def _most(library: Library, job: Job) -> float:
    """Return how long to wait: twice what the command took last time, but no longer than told."""
    latest = await library.latest_of(job.name)
    if latest is None:
        return job.settings.wait
    return min(job.settings.wait, 2 * latest.head.seconds + _SLACK_S)


def _silent(_line: str) -> None:
    return
