"""Who of several nodes makes the snapshot of a step that there is none of.

Imported only where that is so: a hit is short.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from depsnap.key.compose import Composed
from depsnap.key.explain import explain
from depsnap.leases.clock import MonotonicClock
from depsnap.leases.lease import Lease, Waited, Waiting, wait_or_lead
from depsnap.leases.terms import Doing, Patience
from depsnap.runs.finding import Found, find_in
from depsnap.runs.outcome import Say
from depsnap.runs.settings import Job
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.names import LEASES
from depsnap.snapshots.places import Place, open_store
from depsnap.waiting import wait_for_result

_KEEPING: Final = 10.0
"""How much longer than while it runs the command a node may be silent while it packs."""
_SLACK_S: Final = 60.0


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
                found = await find_in(library, job, composed, _silent, repair=False, kept=True)
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


async def _most(library: Library, job: Job) -> float:
    """Return how long to wait: twice what the command took last time, but no longer than told."""
    latest = await library.latest_of(job.name)
    if latest is None:
        return job.settings.wait
    return min(job.settings.wait, 2 * latest.head.seconds + _SLACK_S)


def _silent(_line: str) -> None:
    return
