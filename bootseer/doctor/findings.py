"""What a check found. Pure."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """Works, but slower or with less."""
    FAIL = "fail"
    """The snapshotter cannot work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `bootseer doctor`."""

    name: str
    state: State
    detail: str
    mend: str = ""
    """What to do; empty where nothing is to do."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return asdict(self)


def worst(findings: list[Finding]) -> State:
    """Return the worst state of all; OK where there is nothing."""
    order = list(State)
    return max((f.state for f in findings), key=order.index, default=State.OK)
