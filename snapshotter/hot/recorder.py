"""The state machine of a recording: touches go in, a record comes out. No I/O, no clock of its own.

Times are seconds of any clock that does not go back; the recorder only looks at differences.

Concurrency: none. Whoever owns a recorder calls it from one task. Nothing is awaited, so a touch is
recorded as a whole or not at all, and `record` can be taken at any moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bootseer.errors import UsageError
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.layers.records import BLOCK
from snapshotter.limits import DEFAULT

TOGETHER_MS: Final = 20
"""Touches that follow each other on disk become one range only within this time."""


@dataclass(frozen=True, slots=True)
class RecordingRules:
    """When a recording ends."""

    window: float = 120.0
    """Seconds from the start of the container."""
    quiet: float = 20.0
    """Seconds without a new block after which the start-up counts as over."""
    patience: float = 30.0
    """Seconds from the start before `quiet` ends anything: a program may compute first."""
    most_blocks: int = DEFAULT.hot_blocks // 4
    """Blocks to record (4 GiB): a start that reads more is not helped by prefetching all of it."""


@dataclass(frozen=True, slots=True)
class RecordingSubject:
    """What is recorded."""

    manifest_digest: str
    workload: str
    created: int
    """Seconds since the epoch."""
    kernel: str
    architecture: str
    layers: tuple[HotLayer, ...]


class Recorder:
    """Remembers the first touch of every block of one container's layers."""

    def __init__(
        self,
        subject: RecordingSubject,
        now: float,
        rules: RecordingRules | None = None,
        so_far: Record | None = None,
    ) -> None:
        """Begin at `now`; or, with a valid record of the same layers, go on where it ended.

        Time in between does not count: nobody served blocks then. Raises `UsageError` when the
        record is of other layers.
        """
        self._subject = subject
        self._rules = rules or RecordingRules()
        self._began = now
        self._last_new = now
        self._ended: Ended | None = None
        self._length_ms = 0
        self._blocks = 0
        # Zeroed pages cost no memory until they are touched.
        self._seen = [np.zeros(layer.blocks, dtype=np.bool_) for layer in subject.layers]
        self._rows: list[tuple[int, int, int]] = []
        self._times: list[int] = []
        if so_far is not None:
            self._go_on(so_far, now)

    @property
    def subject(self) -> RecordingSubject:
        """What is recorded."""
        return self._subject

    @property
    def blocks(self) -> int:
        """Blocks recorded so far."""
        return self._blocks

    def touch(self, now: float, layer: int, offset: int, length: int) -> None:
        """Record that bytes of a layer's data area were read; `layer` is its row in the subject.

        What is past the end of the data area, or after the end of the recording, is not recorded.
        """
        if self.ended(now) is not None:
            return
        seen = self._seen[layer]
        first = max(offset, 0) // BLOCK
        last = min(-(-(offset + length) // BLOCK), len(seen))
        for start, stop in _new_runs(seen, first, last):
            count = min(stop - start, self._rules.most_blocks - self._blocks)
            if count:
                seen[start : start + count] = True
                self._append(now, layer, start, count)
        self.ended(now)

    def ended(self, now: float) -> Ended | None:
        """Return why the recording is over; None while it goes on. Ask now and then."""
        if self._ended is None:
            reason = self._reason(now)
            if reason is not None:
                self._end(now, reason)
        return self._ended

    def stop(self, now: float, reason: Ended = Ended.STOPPED) -> None:
        """End the recording, if it goes on."""
        if self.ended(now) is None:
            self._end(now, reason)

    def record(self, now: float) -> Record:
        """Return what was recorded so far; while the recording goes on, as if interrupted now."""
        ended = self.ended(now)
        subject = self._subject
        return Record(
            manifest_digest=subject.manifest_digest,
            workload=subject.workload,
            created=subject.created,
            window_ms=_milliseconds(self._rules.window),
            length_ms=self._since(now) if ended is None else self._length_ms,
            ended=Ended.INTERRUPTED if ended is None else ended,
            kernel=subject.kernel,
            architecture=subject.architecture,
            layers=subject.layers,
            ranges=make_ranges(self._rows),
            time_ms=np.array(self._times, dtype=np.int64),
        )

    def _reason(self, now: float) -> Ended | None:
        if self._blocks >= self._rules.most_blocks:
            return Ended.FULL
        if now - self._began >= self._rules.window:
            return Ended.WINDOW
        patient = now - self._began < self._rules.patience
        if not patient and now - self._last_new >= self._rules.quiet:
            return Ended.QUIET
        return None

    def _end(self, now: float, reason: Ended) -> None:
        self._ended = reason
        limit = self._rules.window if reason is Ended.WINDOW else now - self._began
        self._length_ms = max(_milliseconds(limit), self._times[-1] if self._times else 0)

    def _go_on(self, record: Record, now: float) -> None:
        if record.layers != self._subject.layers:
            raise UsageError(f"a record of other layers of {record.manifest_digest}")
        self._began = now - record.length_ms / 1000
        ranges = record.ranges
        columns = (ranges.layer.tolist(), ranges.first.tolist(), ranges.count.tolist())
        self._rows = list(zip(*columns, strict=True))
        self._times = record.time_ms.tolist()
        self._blocks = ranges.blocks
        for layer, first, count in self._rows:
            self._seen[layer][first : first + count] = True

    def _append(self, now: float, layer: int, first: int, count: int) -> None:
        time = self._since(now)
        self._last_new = max(now, self._last_new)
        self._blocks += count
        if self._rows:
            before, start, blocks = self._rows[-1]
            together = time - self._times[-1] <= TOGETHER_MS
            if together and before == layer and start + blocks == first:
                self._rows[-1] = (layer, start, blocks + count)
                return
        self._rows.append((layer, first, count))
        self._times.append(time)

    def _since(self, now: float) -> int:
        """Return milliseconds since the beginning, never less than the last touch's."""
        return max(_milliseconds(now - self._began), self._times[-1] if self._times else 0)


def _milliseconds(seconds: float) -> int:
    return max(int(seconds * 1000), 0)


def _new_runs(seen: npt.NDArray[np.bool_], first: int, last: int) -> Sequence[tuple[int, int]]:
    """Return the runs [start, stop) of blocks in [first, last) that were not seen."""
    if last - first == 1:
        return () if seen[first] else ((first, last),)
    if last <= first:
        return ()
    part = seen[first:last]
    if not part.any():
        return ((first, last),)
    if part.all():
        return ()
    edges = np.flatnonzero(np.diff(part, prepend=True, append=True)) + first
    return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
