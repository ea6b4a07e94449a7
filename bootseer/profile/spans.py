"""Beginnings and ends of stages put together. Pure.

Nothing is taken for granted of the events: they may come out of order, twice, without their
beginning or without their end. Whatever cannot be used is counted.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bootseer.events.event import Event, Origin, Phase, Value


@dataclass(frozen=True, slots=True)
class Span:
    """A stage of a start, on a node or one of its ranks."""

    origin: Origin
    stage: str
    begin_ns: int
    """Since 1970, by the node's clock."""
    length_ns: int | None
    """By the clock that is never set; None: its end is missing."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    """Those of the beginning and of the end."""

    @property
    def end_ns(self) -> int:
        """When it ended; where that is not known, when it began."""
        return self.begin_ns + (self.length_ns or 0)


@dataclass(slots=True)
class Trouble:
    """What is wrong with events. All are counts."""

    broken: int = 0
    """Lines that are no events."""
    duplicates: int = 0
    disordered: int = 0
    """Events that were written after a later one of the same node and rank."""
    unended: int = 0
    """Stages without an end: the attempt died, or goes on."""
    unbegun: int = 0
    """Ends without a beginning."""
    lost: int = 0
    """Events that could not be written, as later ones say."""
    homeless: int = 0
    """Stages of no job, on nodes or at times at which no job started."""


def pair(events: Iterable[Event], trouble: Trouble) -> list[Span]:
    """Return the stages that events tell of; add to `trouble` what is wrong with them."""
    latest: dict[Origin, int] = {}
    groups: defaultdict[tuple[Origin, str, str], list[Event]] = defaultdict(list)
    for event in events:
        trouble.lost += event.lost
        trouble.disordered += event.time_ns < latest.get(event.origin, 0)
        latest[event.origin] = max(event.time_ns, latest.get(event.origin, 0))
        groups[event.origin, event.stage, event.identity].append(event)
    spans: list[Span] = []
    for group in groups.values():
        spans += _paired(group, trouble)
    return spans


def _paired(group: list[Event], trouble: Trouble) -> list[Span]:
    """Return the spans of one origin, stage and identity."""
    different = {(one.phase, one.monotonic_ns, one.time_ns): one for one in group}
    trouble.duplicates += len(group) - len(different)
    spans: list[Span] = []
    begun: Event | None = None
    for event in _in_order(different.values()):
        if event.phase is Phase.BEGIN:
            if begun is not None:
                spans.append(_span(begun, None))
            begun = event
        elif begun is None:
            trouble.unbegun += 1
        else:
            spans.append(_span(begun, event))
            begun = None
    if begun is not None:
        spans.append(_span(begun, None))
    trouble.unended += sum(span.length_ns is None for span in spans)
    return spans


def _in_order(events: Iterable[Event]) -> Iterator[Event]:
    """Yield events as they happened; of one instant, beginnings and ends by turns.

    Within one boot the clock that is never set says it, whatever was done to the other.
    """
    goes_on = False
    ordered = sorted(events, key=lambda event: event.monotonic_ns)
    for _, instant in itertools.groupby(ordered, key=lambda event: event.monotonic_ns):
        waiting: dict[Phase, list[Event]] = {phase: [] for phase in Phase}
        for event in instant:
            waiting[event.phase].append(event)
        while any(waiting.values()):
            fitting = Phase.END if goes_on else Phase.BEGIN
            other = Phase.BEGIN if goes_on else Phase.END
            event = (waiting[fitting] or waiting[other]).pop(0)
            goes_on = event.phase is Phase.BEGIN
            yield event


def _span(begin: Event, end: Event | None) -> Span:
    length = end.monotonic_ns - begin.monotonic_ns if end else None
    attributes = {**begin.attributes, **end.attributes} if end else begin.attributes
    return Span(begin.origin, begin.stage, begin.time_ns, length, attributes)
