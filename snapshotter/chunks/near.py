"""Blobs that are near: on a disk of this machine, or on one that is mounted here.

What a worker thread makes something of, it reads itself: a hop between threads and a turn of the
event loop less for each job. What is mounted may hang, and a thread that waits for it is lost until
the kernel lets it go; so each place has threads of its own, and holds up only what is on it.
"""

from dataclasses import dataclass
from typing import Protocol

from snapshotter.chunks.turns import Turns


class NearSource(Protocol):
    """One blob."""

    @property
    def patience(self) -> float:
        """Seconds that a read may take."""
        ...

    def read_now(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` (blocking, by any thread).

        Raises:
            NotFoundError, HostError: they cannot be had.
            CorruptError: the blob ends before that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Near:
    """One blob, and who reads it."""

    source: NearSource
    threads: Turns
    """They decode and write as well."""
