"""Which way a step is captured: the best one that is allowed here."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bootseer.errors import BootseerError
from depsnap.capture.captured import Captured
from depsnap.capture.ground import Ground
from depsnap.capture.left_out import LeftOut
from depsnap.capture.outside import look_outside, remark_on
from depsnap.capture.overlay import NotAllowedError, capture_by_overlay
from depsnap.capture.running import Step
from depsnap.capture.scan import capture_by_scan


def capture(
    step: Step,
    roots: tuple[Path, ...],
    leave: LeftOut,
    ways: Sequence[str],
    say: Callable[[str], None],
    ground: Ground | None = None,
) -> Captured:
    """Run a step and return what it changed in the roots; all of that is in place.

    With a `ground` it runs on that, and once more without it where the outcome does not count.

    Raises:
        BootseerError: nothing is in place, as if the step had not run.
    """
    before = look_outside(roots, step.environment, leave)
    captured = _on(ground, step, roots, leave, ways, say) if ground else None
    if captured is None:
        captured = _capture(step, roots, leave, ways, say)
    if captured.ran.code:
        return captured
    remarks = remark_on(before, look_outside(roots, step.environment, leave))
    return replace(captured, remarks=(*captured.remarks, *remarks))


def _on(
    ground: Ground,
    step: Step,
    roots: tuple[Path, ...],
    leave: LeftOut,
    ways: Sequence[str],
    say: Callable[[str], None],
) -> Captured | None:
    """Run a step on a ground; None if that is not possible, or does not count."""
    for way in ways:
        if way == "scan":
            break
        try:
            own = way != "overlay"
            return capture_by_overlay(step, roots, leave, ground, in_user_namespace=own)
        except NotAllowedError:
            continue
        except BootseerError as error:
            say(f"what it did on the nearest snapshot is dropped: {error}")
            return None
    say("only an overlay lets the command run on a snapshot")
    return None


def _capture(
    step: Step,
    roots: tuple[Path, ...],
    leave: LeftOut,
    ways: Sequence[str],
    say: Callable[[str], None],
) -> Captured:
    for way in ways:
        if way == "scan":
            break
        try:
            return capture_by_overlay(step, roots, leave, in_user_namespace=way != "overlay")
        except NotAllowedError as error:
            say(f"not captured by {way}: {error}")
    return capture_by_scan(step, roots, leave)
