"""The one line in front of an install step: restore its snapshot, or run it and make one.

The rule: a start never fails because of us. Whatever goes wrong is one line, and then the command
runs as if we were not there. Only who asks for `required` gets an error instead.

Once the command has run and what it did is in place, it is not run again, whatever happens
afterwards.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bootseer.errors import BootseerError, CorruptError, NotFoundError
from depsnap.capture.captured import Captured
from depsnap.capture.ladder import capture
from depsnap.capture.left_out import left_out
from depsnap.capture.running import Step, run_plain
from depsnap.key.compose import Composed, compose
from depsnap.key.explain import explain
from depsnap.restore.restore import restore
from depsnap.runs.publishing import entries_of, publish
from depsnap.runs.settings import Job
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.places import open_store
from depsnap.snapshots.verifying import drop_damaged
from depsnap.swap.lock import locked
from depsnap.swap.state import read_state, state_of, write_state
from depsnap.swap.steps import Step as SwapStep
from depsnap.swap.steps import plan
from depsnap.swap.swap import LiveLook, recover
from depsnap.tree.entries import Tree
from depsnap.waiting import wait_for_result

log = logging.getLogger(__name__)

Say = Callable[[str], None]
"""How a user is told what is done: a line each."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    code: int
    """The command's exit code; 0 where it was not run."""
    how: Literal["present", "restored", "captured", "plain"]


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


def run(job: Job, say: Say, *, required: bool = False) -> Outcome:
    """Do an install step, by its snapshot where there is one.

    Raises:
        BootseerError: with `required`, that there is no snapshot, or why it is not restored.
    """
    try:
        composed = compose(job.step)
        with locked(Path(composed.roots[0]), job.settings.wait, say):
            return _run(job, composed, say, required=required)
    except BootseerError as error:
        if required:
            raise
        say(f"no snapshot is used: {error}")
    except Exception as error:  # a start never fails because of us, bugs included
        if required:
            raise
        log.warning("deps.bug", exc_info=True)
        say(f"no snapshot is used; this is a bug in bootseer: {type(error).__name__}: {error}")
    return Outcome(run_plain(_step(job)).code, "plain")


def capture_anew(job: Job, say: Say) -> Outcome:
    """Run a step and keep what it changes, whatever is kept already.

    Raises:
        BootseerError: the step did not run.
    """
    composed = compose(job.step)
    with locked(Path(composed.roots[0]), job.settings.wait, say):
        recover([Path(one) for one in composed.roots])
        return _capture(job, composed, say)


@dataclass(frozen=True, slots=True)
class Planned:
    """What a restore would do."""

    stored: Stored
    steps: list[SwapStep]


def would_restore(job: Job, say: Say) -> Planned:
    """Return what restoring a step here would do. Nothing is changed.

    Raises:
        NotFoundError: there is no snapshot.
        BootseerError: it cannot be read.
    """
    composed = compose(job.step)
    found = wait_for_result(_find(job, composed, say, repair=False))
    if found is None:
        raise _none(job, composed)
    return Planned(found.stored, plan(found.tree.entries, LiveLook()))


def _none(job: Job, composed: Composed) -> NotFoundError:
    return NotFoundError(f"there is no snapshot of {job.name} for key {composed.key[:12]}")


def _run(job: Job, composed: Composed, say: Say, *, required: bool) -> Outcome:
    """Do it while nobody else works on the roots."""
    root = Path(composed.roots[0])
    if recover([Path(one) for one in composed.roots]):
        say("what a killed process left here was finished or undone")
        composed = compose(job.step)
    state = read_state(root)
    if state is not None and state.holds(composed.ingredients, time.time()):
        say("already in place")
        return Outcome(0, "present")
    try:
        found = wait_for_result(_find(job, composed, say, repair=True))
    except BootseerError as error:
        if required:
            raise
        say(f"the store cannot be read: {error}")
        return _capture(job, composed, say)
    if found is not None and (required or not found.stale):
        try:
            return _restore(job, composed, found, say)
        except BootseerError as error:
            if required:
                raise
            say(f"the snapshot cannot be restored: {error}")
            if isinstance(error, CorruptError | NotFoundError):
                _drop(job, found, say)
    elif required:
        raise _none(job, composed)
    return _capture(job, composed, say)


async def _find(job: Job, composed: Composed, say: Say, *, repair: bool) -> Found | None:
    """Return what the store has; with `repair` what is damaged there is removed."""
    async with open_store(job.settings.store) as store:
        library = Library(store)
        stored = await library.newest(job.name, composed.key)
        if stored is None:
            say(f"no snapshot of {job.name} for key {composed.key[:12]}")
            latest = await library.latest_of(job.name)
            for line in explain(latest.head.ingredients, composed.ingredients) if latest else ():
                say(f"  {line}")
            return None
        try:
            return Found(stored, await library.tree(stored.head))
        except (CorruptError, NotFoundError) as error:
            say(f"the snapshot cannot be read: {error}")
            if repair:
                await drop_damaged(library, stored)
            return None


def _restore(job: Job, composed: Composed, found: Found, say: Say) -> Outcome:
    began = time.monotonic()
    head = found.stored.head
    if head.roots != composed.roots:
        raise CorruptError(f"the snapshot is of {', '.join(head.roots)}")
    done = restore(head, found.tree, job.settings.store, job.settings.workers)
    say(f"restored {head.entries} entries in {time.monotonic() - began:.1f} s")
    if done.unprivileged:
        say(f"{done.unprivileged} entries lost set-ID bits or attributes: only root keeps them")
    _remember(job, composed, head.fresh_until)
    return Outcome(0, "restored")


def _capture(job: Job, composed: Composed, say: Say) -> Outcome:
    """Run the command and publish what it changed."""
    captured = capture(
        _step(job),
        tuple(Path(root) for root in composed.roots),
        left_out(job.step.environment),
        job.settings.capture,
        say,
    )
    if captured.ran.code:
        return Outcome(captured.ran.code, "plain")
    try:
        return _publish(job, composed, captured, say)
    except BootseerError as error:
        say(f"no snapshot is made: {error}")
    except Exception as error:  # the command ran, its start must go on
        log.warning("deps.bug", exc_info=True)
        say(f"no snapshot is made; this is a bug in bootseer: {type(error).__name__}: {error}")
    return Outcome(0, "plain")


def _publish(job: Job, composed: Composed, captured: Captured, say: Say) -> Outcome:
    for remark in captured.remarks:
        say(remark)
    began = time.monotonic()
    entries = entries_of(job, composed, captured)
    if not entries:
        say("the command changed nothing in the roots, so there is nothing to keep")
        return Outcome(0, "plain")
    stored = publish(job, composed, captured, entries)
    say(f"kept {stored.head.entries} entries in {time.monotonic() - began:.1f} s")
    _remember(job, composed, stored.head.fresh_until)
    return Outcome(0, "captured")


def _remember(job: Job, composed: Composed, fresh_until: int | None) -> None:
    """Write down that it is in place, so that the next start here has nothing to do."""
    after = compose(job.step)
    write_state(Path(composed.roots[0]), state_of(composed.key, fresh_until, after.ingredients))


def _drop(job: Job, found: Found, say: Say) -> None:
    """Remove what is damaged, so that it can be stored anew."""

    async def drop() -> None:
        async with open_store(job.settings.store) as store:
            await drop_damaged(Library(store), found.stored)

    try:
        wait_for_result(drop())
    except BootseerError as error:
        say(f"it stays in the store: {error}")


def _step(job: Job) -> Step:
    return Step(job.step.command, job.step.cwd, job.step.environment)
