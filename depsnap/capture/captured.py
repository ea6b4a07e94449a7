"""What a capture gives, whichever way it went."""

from dataclasses import dataclass, field

from depsnap.capture.running import Ran
from depsnap.tree.entries import Kind


@dataclass(frozen=True, slots=True)
class Captured:
    """A command that ran, and what it changed. It is in place."""

    ran: Ran
    method: str
    """`overlay`, `user overlay` or `scan`."""
    changes: list[tuple[str, Kind]]
    """Parents before children; without what is never captured."""
    remarks: tuple[str, ...] = field(default=())
    """What its user should know, a line each."""
