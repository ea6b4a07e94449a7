"""Spans sorted into starts: one for each attempt of a job. Pure.

The node's daemons serve all jobs and do not say for whom they work. What they did belongs to the
attempt that was starting on the node then, or started there next.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bootseer.profile.spans import Span, Trouble

_IMAGE: Final = "image."


class Kind(StrEnum):
    """What was started."""

    FULL = "full start"
    """Containers were made: an image was made ready on at least one node."""
    UPDATE = "hot update"
    """Only processes were: the containers were there."""


@dataclass(frozen=True, slots=True)
class Start:
    """One attempt of a job, or what no job can be found for (`job` is empty)."""

    job: str
    attempt: int
    spans: tuple[Span, ...]

    @property
    def kind(self) -> Kind:
        """What was started."""
        made = any(span.stage.startswith(_IMAGE) for span in self.spans)
        return Kind.FULL if made else Kind.UPDATE

    @property
    def nodes(self) -> list[str]:
        """Names of its nodes, in order."""
        return sorted({span.origin.node for span in self.spans})


@dataclass(frozen=True, slots=True)
class _Stay:
    """When an attempt was on a node."""

    end_ns: int
    job: str
    attempt: int


def starts_of(spans: Iterable[Span], trouble: Trouble) -> list[Start]:
    """Return the starts, in the order in which they began.

    Where there is a job at all, what belongs to none is counted in `trouble` and left out.
    """
    named: defaultdict[tuple[str, int], list[Span]] = defaultdict(list)
    nameless: list[Span] = []
    for span in spans:
        if span.origin.job:
            named[span.origin.job, span.origin.attempt].append(span)
        else:
            nameless.append(span)
    if not named:
        return [Start("", 0, tuple(nameless))] if nameless else []
    stays = _stays(named)
    for span in nameless:
        stay = _stay_at(stays.get(span.origin.node, ()), span.begin_ns)
        if stay is None:
            trouble.homeless += 1
        else:
            origin = replace(span.origin, job=stay.job, attempt=stay.attempt)
            named[stay.job, stay.attempt].append(replace(span, origin=origin))
    starts = [Start(job, attempt, tuple(own)) for (job, attempt), own in named.items()]
    return sorted(starts, key=lambda start: min(span.begin_ns for span in start.spans))


def _stays(named: dict[tuple[str, int], list[Span]]) -> dict[str, list[_Stay]]:
    """Return by node who was there, in the order of leaving."""
    ends: dict[tuple[str, str, int], int] = {}
    for (job, attempt), spans in named.items():
        for span in spans:
            key = (span.origin.node, job, attempt)
            ends[key] = max(ends.get(key, 0), span.end_ns)
    stays: defaultdict[str, list[_Stay]] = defaultdict(list)
    for (node, job, attempt), end in ends.items():
        stays[node].append(_Stay(end, job, attempt))
    for found in stays.values():
        found.sort(key=lambda stay: stay.end_ns)
    return stays


def _stay_at(stays: Sequence[_Stay], at_ns: int) -> _Stay | None:
    """Return the first that had not ended by a moment."""
    place = bisect_left(stays, at_ns, key=lambda stay: stay.end_ns)
    return stays[place] if place < len(stays) else None
