"""Capture by looking before and after: what is always allowed."""

from pathlib import Path

from bootseer.errors import HostError
from depsnap.capture.captured import Captured
from depsnap.capture.difference import difference
from depsnap.capture.left_out import LeftOut
from depsnap.capture.listing import list_roots
from depsnap.capture.running import STILL_RUNNING, Step, run_plain

METHOD = "scan"


def capture_by_scan(step: Step, roots: tuple[Path, ...], leave: LeftOut) -> Captured:
    """Run a command and return what changed in the roots.

    A file counts as changed when its size, a time, its mode, its owner or its inode is another; its
    bytes are not read. Two such processes at once in one root each see the other's changes, which
    the lock prevents.

    Raises:
        HostError: the roots cannot be listed. The command did not run.
    """
    try:
        before = list_roots(roots, leave)
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    ran = run_plain(step)
    try:
        after = list_roots(roots, leave) if ran.code == 0 else before
    except OSError as error:
        # The command ran, and must not be run again because of this.
        return Captured(ran, METHOD, [], (f"{error.filename}: {error.strerror}",))
    remarks = (STILL_RUNNING,) if ran.left_running else ()
    return Captured(ran, METHOD, difference(before, after), remarks)
