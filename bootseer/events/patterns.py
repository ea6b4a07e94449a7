"""How stages show in the logs of a job that nobody may change. Records, and their meaning. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias

from bootseer.errors import UsageError
from bootseer.setting_types import Range

ISO: Final = "iso"
EPOCH: Final = "epoch"
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StagePattern:
    """Which lines begin and end a stage. One of `begin` and `lasted` has to be given."""

    stage: str = ""
    begin: str = ""
    """Regular expression of a line; its named groups become attributes."""
    end: str = ""
    lasted: str = ""
    """Of a line that is written at the end and says, in its group `seconds`, how long it took."""


@dataclass(frozen=True, slots=True)
class LogPatterns:
    """What a file of patterns says."""

    time: str = r"^\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)"
    """Regular expression whose first group is the time of a line."""
    format: str = ISO
    """How that is written: `iso`, `epoch` (seconds since 1970), or as strptime wants it."""
    offset: Annotated[float, Range(-24, 24)] = 0.0
    """Hours east of UTC of times that do not say it."""
    rank: str = ""
    """Regular expression whose first group is the rank that wrote a line; empty: none is known."""
    stages: tuple[StagePattern, ...] = ()


Clock: TypeAlias = Callable[[str], int | None]
"""Text of a time -> nanoseconds since 1970; None for what is no time."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A stage's compiled expressions; None where there is none."""

    stage: str
    begin: re.Pattern[str] | None
    end: re.Pattern[str] | None
    lasted: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Matchers:
    """Compiled patterns."""

    time: re.Pattern[str]
    clock: Clock
    rank: re.Pattern[str] | None
    stages: Sequence[Matcher]


def compiled(patterns: LogPatterns) -> Matchers:
    """Return what is used to look at lines.

    Raises:
        UsageError: an expression is none, a group or the name of a stage is missing.
    """
    if not patterns.stages:
        raise UsageError(
            "the patterns name no stages", hint="`stages:` with `stage`, `begin`, `end`"
        )
    return Matchers(
        _expression(patterns.time, "time", groups=1),
        _clock(patterns),
        _expression(patterns.rank, "rank", groups=1) if patterns.rank else None,
        [_matcher(one) for one in patterns.stages],
    )


def _matcher(pattern: StagePattern) -> Matcher:
    name = pattern.stage
    if not name:
        raise UsageError("a stage without `stage`, its name")
    if bool(pattern.begin) == bool(pattern.lasted):
        raise UsageError(f"stage {name}: one of `begin` (with `end`) and `lasted` says when it is")
    if bool(pattern.begin) != bool(pattern.end):
        raise UsageError(f"stage {name}: `begin` and `end` go together")

    def made(text: str, what: str) -> re.Pattern[str] | None:
        return _expression(text, f"stage {name}: {what}") if text else None

    lasted = made(pattern.lasted, "lasted")
    if lasted and "seconds" not in lasted.groupindex:
        raise UsageError(f"stage {name}: `lasted` needs a group (?P<seconds>...)")
    return Matcher(name, made(pattern.begin, "begin"), made(pattern.end, "end"), lasted)


def _expression(text: str, what: str, groups: int = 0) -> re.Pattern[str]:
    try:
        made = re.compile(text)
    except re.error as error:
        raise UsageError(f"{what}: {error}: {text}") from error
    if made.groups < groups:
        raise UsageError(f"{what}: a group in parentheses is missing: {text}")
    return made


def _clock(patterns: LogPatterns) -> Clock:
    offset_ns = round(patterns.offset * 3600 * _NS)
    if patterns.format == EPOCH:
        return _from_epoch

    def clock(text: str) -> int | None:
        try:
            if patterns.format == ISO:
                read = datetime.fromisoformat(text.replace(",", "."))
            else:
                read = datetime.strptime(text, patterns.format)
        except ValueError:
            return None
        if read.tzinfo is not None:
            return _nanoseconds(read)
        return _nanoseconds(read.replace(tzinfo=UTC)) - offset_ns

    return clock


def _from_epoch(text: str) -> int | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return round(seconds * _NS) if 0 <= seconds < 1e10 else None


def _nanoseconds(moment: datetime) -> int:
    passed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86400 + passed.seconds) * _NS + passed.microseconds * 1000
