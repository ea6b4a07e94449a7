"""Blobs that are near: on a disk of this machine, or on one that is mounted here.

What a worker thread makes something of, it reads itself: a hop between threads and a turn of the
event loop less for each job. What is mounted may hang, and a thread that waits for it is lost until
the kernel lets it go; so each place has threads of its own, and holds up only what is on it.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from bootseer.errors import HostError
from snapshotter.chunks.carrier import BATCH, Fetched, Keep, Run
from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.fetching import Purpose
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


@dataclass(frozen=True, slots=True)
class NearCarrier:
    """A `Carrier` of one blob that is near. It has no windows."""

    digest: str
    """For messages."""
    chunks: ChunkMap
    near: Near

    @property
    def threads(self) -> Turns:
        """They read what they make chunks of."""
        return self.near.threads

    async def carry(self, run: Run, keep: Keep, fetched: Fetched) -> None:
        """Have chunks read and kept by worker threads; see `Carrier.carry`."""
        patience = self.near.source.patience

        async def bring(low: int, high: int, purpose: Purpose) -> None:
            start, end = self.chunks.blob(low, high)
            try:
                async with asyncio.timeout(patience):
                    await keep(low, self._cut, [b""] * (high - low))
            except TimeoutError as error:
                message = f"layer {self.digest}: no answer in {patience:.0f} s"
                raise HostError(message, hint="is the server of the store gone?") from error
            fetched[purpose] += end - start

        async with asyncio.TaskGroup() as jobs:
            for batch in self.chunks.batches(run.low, run.wanted, BATCH):
                jobs.create_task(bring(*batch, run.purpose))
            for batch in self.chunks.batches(run.wanted, run.high, BATCH):
                jobs.create_task(bring(*batch, Purpose.IDLE))

    async def doubt(self, chunk: int) -> None:
        """Do nothing: it is in one place."""

    def _cut(self, start: int, end: int) -> memoryview:
        return memoryview(self.near.source.read_now(start, end - start))
