"""The one line in front of an install step: restore its snapshot, or run it and make one.

The rule: a start never fails because of us. Whatever goes wrong is one line, and then the command
runs as if we were not there. Only who asks for `required` gets an error instead.

Once the command has run and what it did is in place, it is not run again, whatever happens
afterwards.
"""

import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bootseer.errors import BootseerError, CorruptError, HostError, NotFoundError
from depsnap.key.compose import Composed, compose
from depsnap.restore.libraries import make_linker_cache
from depsnap.restore.restore import From, restore
from depsnap.runs.finding import Found, drop, find, note_use, tree_of
from depsnap.runs.outcome import Outcome, Say, forget, remember
from depsnap.runs.settings import Job
from depsnap.snapshots.library import Stored
from depsnap.swap.lock import locked
from depsnap.swap.state import read_state
from depsnap.swap.steps import Step as SwapStep
from depsnap.swap.steps import plan
from depsnap.swap.swap import LiveLook, recover

if TYPE_CHECKING:  # a hit does without
    from depsnap.leases.lease import Lease, Waited

log = logging.getLogger(__name__)


def run(job: Job, say: Say, *, required: bool = False) -> Outcome:
    """Do an install step, by its snapshot where there is one.

    Raises:
        BootseerError: with `required`, that there is no snapshot, or why it is not restored.
    """
    try:
        composed = _composed(job)
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
    return _run_plain(job)


def _run_plain(job: Job) -> Outcome:
    from depsnap.capture.running import Step, run_plain  # noqa: PLC0415 (a hit does without)

    step = Step(job.step.command, job.step.cwd, job.step.environment)
    with job.stages.stage("deps.install", name=job.name) as found:
        code = run_plain(step).code
        found["code"] = code
    return Outcome(code, "plain")


def _composed(job: Job) -> Composed:
    with job.stages.stage("deps.key", name=job.name) as found:
        composed = compose(job.step)
        found["key"] = composed.key
        return composed


def capture_anew(job: Job, say: Say) -> Outcome:
    """Run a step and keep what it changes, whatever is kept already.

    Raises:
        BootseerError: the step did not run.
    """
    composed = _composed(job)
    with locked(Path(composed.roots[0]), job.settings.wait, say):
        recover([Path(one) for one in composed.roots])
        return _capture(job, composed, say, None)


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
    found = find(job, composed, say, repair=False)
    if found is None:
        raise _none(job, composed)
    return Planned(found.stored, plan(tree_of(job, found).entries, LiveLook()))


def _none(job: Job, composed: Composed) -> NotFoundError:
    return NotFoundError(f"there is no snapshot of {job.name} for key {composed.key[:12]}")


def _is_in_place(job: Job, composed: Composed, roots: list[Path]) -> bool:
    state = read_state(roots)
    if state is None or not state.holds(composed.ingredients, time.time()):
        return False
    if job.settings.mount:
        from depsnap.runs.mounting import renew_mounts  # noqa: PLC0415 (HTTP, which few need)

        renew_mounts(job, composed.roots, state.key)
    return True


def _run(job: Job, composed: Composed, say: Say, *, required: bool) -> Outcome:
    """Do it while nobody else works on the roots."""
    roots = [Path(root) for root in composed.roots]
    if recover(roots):
        say("what a killed process left here was finished or undone")
        composed = compose(job.step)
    if _is_in_place(job, composed, roots):
        say("already in place")
        return Outcome(0, "present")
    if job.settings.mount and _mounted(job, composed, say):
        return _checked(job, composed, say, "mounted", required=required)
    if required:
        found = find(job, composed, say, repair=False, kept=True)
        if found is None:
            raise _none(job, composed)
        _restore(job, composed, found, say)
        return _checked(job, composed, say, "restored", required=True)
    lease: Lease | None = None
    try:
        with job.stages.stage("deps.find", name=job.name) as told:
            found = find(job, composed, say, repair=True, kept=True)
            told["found"] = found is not None
        if found is None or (found.stale and not job.settings.digest):
            waited = _made_elsewhere(job, composed, found, say)
            lease = waited.lease
            found = None if lease else waited.found or found
    except BootseerError as error:
        say(f"the store cannot be read: {error}")
        return _capture(job, composed, say, None)
    if found is not None:
        try:
            _restore(job, composed, found, say)
        except BootseerError as error:
            say(f"the snapshot cannot be restored: {error}")
            if isinstance(error, CorruptError | NotFoundError):
                drop(job, found, say)
        else:
            return _checked(job, composed, say, "restored", required=False)
    return _capture(job, composed, say, lease)


def _made_elsewhere(job: Job, composed: Composed, old: Found | None, say: Say) -> "Waited[Found]":
    """Wait for who makes the snapshot, or be who does."""
    from depsnap.runs.leading import explain_miss, find_or_lead  # noqa: PLC0415 (likewise)

    if old is None:
        explain_miss(job, composed, say)
    with job.stages.stage("deps.wait", name=job.name):
        return find_or_lead(job, composed, say, old)


def _mounted(job: Job, composed: Composed, say: Say) -> bool:
    from depsnap.runs.mounting import mount_step  # noqa: PLC0415 (HTTP, which few need)

    with job.stages.stage("deps.mount", name=job.name) as told:
        told["mounted"] = mount_step(job, composed, say)
        return bool(told["mounted"])


def _checked(
    job: Job, composed: Composed, say: Say, how: Literal["mounted", "restored"], *, required: bool
) -> Outcome:
    """Return the outcome of a restore, after the check that the user wants.

    Where it fails the command runs on what is there, and nothing is kept of what it changes: that
    would be less than what it changes elsewhere.

    Raises:
        HostError: it fails, and the command is not to run.
    """
    if not job.settings.check:
        return Outcome(0, how)
    from depsnap.capture.running import Step, run_plain  # noqa: PLC0415 (a hit does without)

    line = ("sh", "-c", job.settings.check)
    with job.stages.stage("deps.check", name=job.name) as told:
        told["code"] = code = run_plain(Step(line, job.step.cwd, job.step.environment)).code
    if not code:
        return Outcome(0, how)
    if required:
        raise HostError(f"what was {how} fails its check, which ended with {code}")
    say(f"what was {how} fails its check, which ended with {code}: the command runs")
    forget(composed)
    return _run_plain(job)


def _restore(job: Job, composed: Composed, found: Found, say: Say) -> None:
    began = time.monotonic()
    head = found.stored.head
    if head.roots != composed.roots:
        raise CorruptError(f"the snapshot is of {', '.join(head.roots)}")
    source = From(job.settings.store, found.stored.digest, job.settings.tree_cache)
    packs = found.tree.packs if found.tree else ()
    with (
        job.stages.stage("deps.restore", name=job.name, bytes=head.size) as told,
        job.progress("restoring", sum(pack.raw for pack in packs) or head.size) as more,
    ):
        tree = partial(tree_of, job, found)
        done = restore(head, tree, source, job.settings.workers, more)
        told |= {"entries": head.entries, "linked": done.linked}
    how = ", from what this node has" if done.linked else ""
    say(f"restored {head.entries} entries in {time.monotonic() - began:.1f} s{how}")
    if done.about.linker and not make_linker_cache():
        say("ldconfig did not work: programs may not find the libraries that were restored")
    if lost := done.about.unprivileged:
        say(f"{lost} entries lost set-ID bits or attributes: only root keeps them")
    remember(composed, head.fresh_until)
    note_use(job, found)


def _capture(job: Job, composed: Composed, say: Say, lease: "Lease | None") -> Outcome:
    from depsnap.runs.capturing import capture_step  # noqa: PLC0415 (a hit does without)

    return capture_step(job, composed, say, lease)
