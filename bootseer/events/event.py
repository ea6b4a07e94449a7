"""What an event says. Records only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | None


class Phase(StrEnum):
    """Which end of a stage it is."""

    BEGIN = "begin"
    END = "end"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes events."""

    job: str = ""
    """Empty where it is not known, as to a daemon that serves several."""
    attempt: int = 0
    node: str = ""
    rank: int | None = None
    """None for what is the node's rather than a rank's."""


@dataclass(frozen=True, slots=True)
class Event:
    """One end of a stage."""

    origin: Origin
    stage: str
    phase: Phase
    time_ns: int
    """Since 1970, by the node's clock."""
    monotonic_ns: int
    """By the clock of the node that is never set; comparable on one node until it boots."""
    identity: str = ""
    """What a beginning and its end have in common; empty: the stage's name alone says it."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    lost: int = 0
    """Events of the same process that could not be written before this one."""
