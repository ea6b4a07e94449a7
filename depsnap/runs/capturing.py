"""The step is run, and what it changed is kept. Imported only where that is so: a hit is short."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bootseer.errors import BootseerError
from depsnap.capture.captured import Captured
from depsnap.capture.ground import Ground
from depsnap.capture.ladder import capture
from depsnap.capture.left_out import left_out
from depsnap.capture.running import Step
from depsnap.key.compose import Composed
from depsnap.leases.lease import Lease
from depsnap.leases.terms import Doing
from depsnap.runs.leading import Held
from depsnap.runs.nearest import find_ground
from depsnap.runs.outcome import Outcome, Say, remember
from depsnap.runs.publishing import entries_of, publish
from depsnap.runs.settings import Job

log = logging.getLogger(__name__)


def capture_step(job: Job, composed: Composed, say: Say, lease: Lease | None) -> Outcome:
    """Run a step and publish what it changed, holding the lease meanwhile.

    Raises:
        BootseerError: it did not run, or nothing of what it did is in place.
    """
    with _held(job, lease) as beat:
        step = job.step
        with job.stages.stage("deps.install", name=job.name) as told:
            captured = capture(
                Step(step.command, step.cwd, step.environment, lambda: beat(Doing.RUNNING)),
                tuple(Path(root) for root in composed.roots),
                left_out(step.environment),
                job.settings.capture,
                say,
                _ground(job, composed, say),
            )
            told |= {"code": captured.ran.code, "seconds": captured.ran.seconds}
        if captured.ran.code:
            return Outcome(captured.ran.code, "plain")
        try:
            beat(Doing.KEEPING)
            return _publish(job, composed, captured, say)
        except BootseerError as error:
            say(f"no snapshot is made: {error}")
        except Exception as error:  # the command ran, its start must go on
            log.warning("deps.bug", exc_info=True)
            say(f"no snapshot is made; this is a bug in bootseer: {type(error).__name__}: {error}")
    return Outcome(0, "plain")


def _ground(job: Job, composed: Composed, say: Say) -> Ground | None:
    """Return the snapshot to run a step on, where that is wanted and there is one."""
    if not job.settings.on_nearest:
        return None
    try:
        return find_ground(job, composed, say)
    except BootseerError as error:
        say(f"not on the nearest snapshot: {error}")
        return None


def _publish(job: Job, composed: Composed, captured: Captured, say: Say) -> Outcome:
    for remark in captured.remarks:
        say(remark)
    began = time.monotonic()
    with job.stages.stage("deps.capture", name=job.name, way=captured.method) as told:
        entries = entries_of(job, composed, captured)
        told["entries"] = len(entries)
    if not entries:
        say("the command changed nothing in the roots, so there is nothing to keep")
        return Outcome(0, "plain")
    with job.stages.stage("deps.publish", name=job.name) as told:
        stored = publish(job, composed, captured, entries)
        told["bytes"] = stored.head.stored
    say(f"kept {stored.head.entries} entries in {time.monotonic() - began:.1f} s")
    remember(composed, stored.head.fresh_until)
    return Outcome(0, "captured")


@contextlib.contextmanager
def _held(job: Job, lease: Lease | None) -> Iterator[Callable[[Doing], None]]:
    """Give what shows that we live; the lease is given back at the end, whatever happened."""
    if lease is None:
        yield lambda _doing: None
        return
    held = Held(job.settings.store, lease)
    try:
        yield held.beat
    finally:
        with contextlib.suppress(BootseerError):
            held.release()
