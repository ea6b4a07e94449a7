"""Which earlier snapshot a step runs on. Imported only where that is wanted."""

from typing import Final

from depsnap.key.compose import Composed
from depsnap.nearest.choosing import may_stand_on
from depsnap.nearest.dry_run import NotProvenError, would_install
from depsnap.nearest.ground import NearestGround
from depsnap.runs.outcome import Say
from depsnap.runs.settings import Job
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.places import open_store
from depsnap.tree.entries import Kind, Tree
from depsnap.waiting import wait_for_result

_REMOVING: Final = frozenset({Kind.DELETED, Kind.REPLACED, Kind.CHANGED})


def find_ground(job: Job, composed: Composed, say: Say) -> NearestGround | None:
    """Return the newest snapshot that a step may be run on; None if there is none.

    Raises:
        NotProvenError: it could not be proved afterwards that it leaves nothing behind.
        BootseerError: the store fails.
    """
    step = job.step

    async def work() -> tuple[Stored, Tree] | None:
        async with open_store(job.settings.store) as store:
            library = Library(store)
            for stored in reversed(await library.all(job.name)):
                head = stored.head
                if head.roots == composed.roots and may_stand_on(
                    step.command, head.ingredients, composed.ingredients
                ):
                    return stored, await library.tree(head)
        return None

    found = wait_for_result(work())
    if found is None:
        say("no snapshot is near enough to run the command on")
        return None
    stored, tree = found
    if any(entry.kind in _REMOVING for entry in tree.entries):
        raise NotProvenError("the nearest snapshot removes or changes what is there")
    wanted = would_install(step.command, step.cwd, step.environment, job.settings.wait)
    say(f"runs on the snapshot with key {stored.head.key[:12]}")
    settings = job.settings
    return NearestGround(stored, tree, settings.store, settings.workers, frozenset(wanted))
