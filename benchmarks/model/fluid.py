"""Transfers as fluids in simulated time: each flows at its fair rate until all of it is there.

A packet is never simulated. Rates change only when a transfer begins or ends or a resource
changes, and only of what shares a resource with it, directly or over others. Transfers that are
alike are one group with one rate: it counts what each of them has got so far (`served`), and one
that came when that was 5 and is 3 long ends at 8.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import simpy

from benchmarks.model.fair import Group, fair_rates

Uses = tuple[tuple[str, float], ...]
"""Resources, and what one unit of a transfer takes of each."""
_Key = tuple[Uses, float]


@dataclass(slots=True)
class _Flows:
    """Transfers that are alike."""

    key: _Key
    served: float = 0.0
    since: float = 0.0
    rate: float = 0.0
    version: int = 0
    """Counts changes of the rate: a wake-up that was ordered before the last one is void."""
    ends: list[tuple[float, int, simpy.Event]] = field(default_factory=list)


class Fluid:
    """Resources, and what flows through them."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._capacities: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._flows: dict[_Key, _Flows] = {}
        self._users: dict[str, set[_Key]] = {}
        self._changed: set[_Key] = set()
        self._numbers: Iterator[int] = itertools.count()

    def set_capacity(self, resource: str, capacity: float) -> None:
        """Make or change a resource: units a second. Raises `ValueError` if that is no number."""
        if not 0 <= capacity < math.inf:
            raise ValueError(f"{resource}: a capacity of {capacity}")
        if self._capacities.get(resource) == capacity:
            return
        self._capacities[resource] = capacity
        self._change(self._users.setdefault(resource, set()))

    def taken(self, resource: str) -> float:
        """Return how many units of a resource went to transfers that have begun."""
        return self._taken.get(resource, 0.0)

    def transfer(self, amount: float, uses: Uses, limit: float = math.inf) -> simpy.Event:
        """Return the event that `amount` units have flowed, at most `limit` a second.

        Raises `ValueError` if nothing limits it.
        """
        if not uses and limit == math.inf:
            raise ValueError("nothing limits this transfer")
        done = self._env.event()
        if amount <= 0:
            return done.succeed()
        for resource, each in uses:
            self._taken[resource] = self._taken.get(resource, 0.0) + each * amount
        flows = self._flows.get((uses, limit)) or self._begin((uses, limit))
        self._advance(flows)
        heapq.heappush(flows.ends, (flows.served + amount, next(self._numbers), done))
        self._change((flows.key,))
        return done

    def _begin(self, key: _Key) -> _Flows:
        flows = self._flows[key] = _Flows(key, since=self._env.now)
        for resource, _ in key[0]:
            self._users[resource].add(key)
        return flows

    def _advance(self, flows: _Flows) -> None:
        now = self._env.now
        flows.served += flows.rate * (now - flows.since)
        flows.since = now

    def _change(self, keys: Iterable[_Key]) -> None:
        """Find rates anew, once, after all else that happens at this moment."""
        before = bool(self._changed)
        self._changed.update(keys)
        if self._changed and not before:
            _call(self._env, 0.0, self._rebalance)

    def _rebalance(self) -> None:
        changed, self._changed = self._changed, set()
        while changed:
            together = self._together(changed.pop())
            changed -= together
            self._share([self._flows[key] for key in together])

    def _together(self, first: _Key) -> set[_Key]:
        """Return all groups whose rates depend on each other's."""
        found, open_ = {first}, [first]
        while open_:
            for resource, _ in open_.pop()[0]:
                new = self._users[resource] - found
                found |= new
                open_ += new
        return found

    def _share(self, together: list[_Flows]) -> None:
        groups = [Group(len(one.ends), one.key[1], dict(one.key[0])) for one in together]
        for flows, rate in zip(together, fair_rates(groups, self._capacities), strict=True):
            self._advance(flows)
            flows.rate = rate
            flows.version += 1
            if not flows.ends:
                self._forget(flows)
            elif rate > 0:
                self._wake(flows)

    def _forget(self, flows: _Flows) -> None:
        del self._flows[flows.key]
        for resource, _ in flows.key[0]:
            self._users[resource].discard(flows.key)

    def _wake(self, flows: _Flows) -> None:
        """Come back when the next of these transfers ends."""
        version, end = flows.version, flows.ends[0][0]

        def ended() -> None:
            if flows.version != version:
                return
            self._advance(flows)
            flows.served = max(flows.served, end)  # what rounding left
            while flows.ends and flows.ends[0][0] <= flows.served:
                heapq.heappop(flows.ends)[2].succeed()
            self._change((flows.key,))

        _call(self._env, max(end - flows.served, 0.0) / flows.rate, ended)


def _call(env: simpy.Environment, delay: float, what: Callable[[], None]) -> None:
    timeout = env.timeout(delay)
    timeout.callbacks.append(lambda _: what())
