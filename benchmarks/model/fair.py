"""How what is shared is shared out: max-min fair rates. Pure.

All rates grow together until something is used up or a transfer has all it can take; those that
this stops keep what they have, and the others go on growing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_EQUAL: Final = 1 + 1e-12
"""What differs by less stops at the same moment."""


@dataclass(frozen=True, slots=True)
class Group:
    """Transfers that are alike, so that each gets the same."""

    count: int
    limit: float
    """Most that one of them takes, units a second."""
    uses: Mapping[str, float]
    """What one unit takes of each resource."""


def fair_rates(groups: Sequence[Group], capacities: Mapping[str, float]) -> list[float]:
    """Return the rate of one transfer of each group."""
    rates = [0.0] * len(groups)
    growing = {number for number, group in enumerate(groups) if group.count}
    left = dict(capacities)
    level = 0.0
    while growing:
        load = _load(groups, growing)
        room = {name: left[name] / used for name, used in load.items() if used > 0}
        reach = {number: groups[number].limit - level for number in growing}
        step = max(min((*room.values(), *reach.values())), 0.0)
        level += step
        for name, used in load.items():
            left[name] = max(left[name] - used * step, 0.0)
        full = {name for name, most in room.items() if most <= step * _EQUAL}
        stopped = {
            number
            for number in growing
            if reach[number] <= step * _EQUAL
            or any(name in full for name, used in groups[number].uses.items() if used > 0)
        }
        for number in stopped:
            rates[number] = level
        growing -= stopped
    return rates


def _load(groups: Sequence[Group], growing: set[int]) -> dict[str, float]:
    """Return what all that still grow take of each resource, for one unit a second each."""
    load: dict[str, float] = {}
    for number in growing:
        group = groups[number]
        for name, used in group.uses.items():
            load[name] = load.get(name, 0.0) + used * group.count
    return load
