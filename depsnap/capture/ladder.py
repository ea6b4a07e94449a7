"""Which way a step is captured: the best one that is allowed here."""

from collections.abc import Callable, Sequence
from pathlib import Path

from depsnap.capture.captured import Captured
from depsnap.capture.left_out import LeftOut
from depsnap.capture.overlay import NotAllowedError, capture_by_overlay
from depsnap.capture.running import Step
from depsnap.capture.scan import capture_by_scan


def capture(
    step: Step,
    roots: tuple[Path, ...],
    leave: LeftOut,
    ways: Sequence[str],
    say: Callable[[str], None],
) -> Captured:
    """Run a step and return what it changed in the roots; all of that is in place.

    Raises:
        BootseerError: nothing is in place, as if the step had not run.
    """
    for way in ways:
        if way == "scan":
            break
        try:
            return capture_by_overlay(step, roots, leave, in_user_namespace=way != "overlay")
        except NotAllowedError as error:
            say(f"not captured by {way}: {error}")
    return capture_by_scan(step, roots, leave)
