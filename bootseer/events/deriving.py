"""Events out of the lines of a log. Pure.

The times in a log are the only clock there is, so they stand for both of an event's.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bootseer.events.event import Event, Origin, Phase, Value
from bootseer.events.patterns import Matcher, Matchers

_LONGEST = 16 << 10
"""Characters of a line that are looked at."""
_MOST_SECONDS = 1e7


@dataclass(slots=True)
class Derived:
    """What became of lines. All are counts."""

    lines: int = 0
    untimed: int = 0
    """Lines of a stage before any line had a time."""
    events: int = 0


def derive(
    lines: Iterable[str], matchers: Matchers, origin: Origin, counts: Derived
) -> Iterator[Event]:
    """Yield the events that a log tells of. A line without a time has that of the line before."""
    time_ns: int | None = None
    for line in lines:
        counts.lines += 1
        text = line[:_LONGEST]
        found = matchers.time.search(text)
        time_ns = (matchers.clock(found[1]) if found else None) or time_ns
        for event in _of_line(text, matchers, _of_rank(text, matchers, origin), time_ns, counts):
            counts.events += 1
            yield event


def _of_rank(text: str, matchers: Matchers, origin: Origin) -> Origin:
    found = matchers.rank.search(text) if matchers.rank else None
    if found and found[1] and found[1].isascii() and found[1].isdigit() and len(found[1]) < 10:
        return replace(origin, rank=int(found[1]))
    return origin


def _of_line(
    text: str, matchers: Matchers, origin: Origin, time_ns: int | None, counts: Derived
) -> Iterator[Event]:
    for matcher in matchers.stages:
        for phase, found, before_ns in _matches(text, matcher):
            if time_ns is None:
                counts.untimed += 1
            else:
                yield _event(origin, matcher.stage, phase, max(time_ns - before_ns, 0), found)


def _matches(text: str, matcher: Matcher) -> Iterator[tuple[Phase, re.Match[str], int]]:
    """Yield which ends of a stage a line tells of, and how long before the line that was."""
    if matcher.lasted:
        found = matcher.lasted.search(text)
        seconds = _seconds(found["seconds"]) if found else None
        if found and seconds is not None:
            yield Phase.BEGIN, found, round(seconds * 1e9)
            yield Phase.END, found, 0
    if matcher.end and (found := matcher.end.search(text)):
        yield Phase.END, found, 0
    if matcher.begin and (found := matcher.begin.search(text)):
        yield Phase.BEGIN, found, 0


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < _MOST_SECONDS else None


def _event(origin: Origin, stage: str, phase: Phase, time_ns: int, found: re.Match[str]) -> Event:
    attributes: dict[str, Value] = {
        name: value for name, value in found.groupdict().items() if value and name != "seconds"
    }
    return Event(origin, stage, phase, time_ns, time_ns, "", attributes)
