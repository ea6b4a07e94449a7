"""What happened when, as stages one can compare between runs. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_PRINTED: Final = re.compile(r"^(\d{9,11}\.\d+) (\S.*)$")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a time, in seconds since the epoch."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Stage:
    """A named stretch of time, in seconds since the run's first event."""

    name: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Run:
    """One run's stages in the order in which they began."""

    name: str
    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        """When the last stage ended."""
        return max((stage.end for stage in self.stages), default=0.0)

    def stage(self, name: str) -> Stage | None:
        """Return the stage of that name, or None."""
        return next((stage for stage in self.stages if stage.name == name), None)


@dataclass(frozen=True, slots=True)
class Step:
    """A stage as planned: from the first event that starts with `begin` to the one with `end`."""

    name: str
    begin: str
    end: str


def printed_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events that a program printed as `<seconds since the epoch> <event>` lines."""
    for line in lines:
        if match := _PRINTED.match(line.strip()):
            yield Event(match[2], float(match[1]))


def stages(name: str, events: Sequence[Event], plan: Sequence[Step]) -> Run:
    """Return the run that `events` make under `plan`.

    A step whose begin or end never happened is left out; time runs from the earliest event.
    """
    if not events:
        return Run(name, ())
    zero = min(event.at for event in events)
    found = []
    for step in plan:
        begin, end = _first(events, step.begin), _first(events, step.end)
        if begin is not None and end is not None and begin <= end:
            found.append(Stage(step.name, begin - zero, end - zero))
    return Run(name, tuple(sorted(found, key=lambda stage: stage.start)))


def _first(events: Sequence[Event], prefix: str) -> float | None:
    return min((event.at for event in events if event.name.startswith(prefix)), default=None)


def bar(stage: Stage, total: float, width: int) -> tuple[int, int]:
    """Return (offset, length) of a stage's bar in cells of a line of `width` for `total` seconds.

    A stage is at least one cell long and never leaves the line.
    """
    if total <= 0:
        return 0, 1
    offset = min(int(min(stage.start / total, 1.0) * width), width - 1)
    end = round(min(stage.end / total, 1.0) * width)
    return offset, max(1, end - offset)
