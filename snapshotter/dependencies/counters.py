"""What was asked for and what came of it.

Race-free: the event loop's thread only.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from bootseer.errors import NotFoundError
from snapshotter.dependencies.peers import RefusedError


class MountOutcome(StrEnum):
    """What came of a request for a mount."""

    MOUNTED = "mounted"
    ABSENT = "absent"
    """There is no such snapshot, or none that is fresh."""
    REFUSED = "refused"
    """Whoever asked may not have it."""
    FAILED = "failed"


@dataclass(slots=True)
class MountCounters:
    """Requests so far."""

    outcomes: dict[MountOutcome, int] = field(
        default_factory=lambda: dict.fromkeys(MountOutcome, 0)
    )
    seconds: float = 0.0
    """That those took which were mounted."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is done inside; exceptions go on."""
        began = time.monotonic()
        outcome = MountOutcome.FAILED
        try:
            yield
            outcome = MountOutcome.MOUNTED
            self.seconds += time.monotonic() - began
        except NotFoundError:
            outcome = MountOutcome.ABSENT
            raise
        except RefusedError:
            outcome = MountOutcome.REFUSED
            raise
        finally:
            self.outcomes[outcome] += 1


@dataclass(frozen=True, slots=True)
class DependencyNumbers:
    """Snapshots on a node."""

    mounts: int
    """Now in use (a count)."""
    requests: MountCounters
